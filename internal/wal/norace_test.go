//go:build !race

package wal

import "testing"

// thorough is how many of n random runs are worth their time here.
func thorough(n int) int {
	if testing.Short() {
		return max(1, n/4)
	}
	return n
}

// passOver leaves out no case of an exhaustive test.
func passOver(int) bool { return false }
