// Package raft is the algorithm.
package raft
