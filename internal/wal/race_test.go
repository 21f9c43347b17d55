//go:build race

package wal

// thorough is how many of n random runs are worth their time here: the race detector takes ten
// times as long, and sees what it looks for in a few.
func thorough(n int) int { return max(1, n/8) }

// passOver leaves out most of the cases i of an exhaustive test.
func passOver(i int) bool { return i%7 != 0 }
