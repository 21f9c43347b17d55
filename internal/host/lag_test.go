package host

import (
	"testing"

	"github.com/lockstep-rsm/lockstep/raft"
)

func entriesOf(first raft.Index, count int, length uint32) []raft.Entry {
	entries := make([]raft.Entry, count)
	for i := range entries {
		entries[i].Index, entries[i].Length = first+raft.Index(i), length
	}
	return entries
}

func TestLagInBytesFollowsTheLog(t *testing.T) {
	const one = 72 + entryOverhead
	var l logBytes
	if b := l.behind(0); b != 0 {
		t.Errorf("an empty log is %d bytes ahead", b)
	}
	for i := range raft.Index(10) {
		l.add(entriesOf(10*i+1, 10, 72))
	}
	for _, c := range []struct { // the sample before 99 is at 90
		index raft.Index
		want  int64
	}{{0, 100 * one}, {10, 90 * one}, {99, 10 * one}, {100, 0}, {200, 0}} {
		if b := l.behind(c.index); b != c.want {
			t.Errorf("log is %d bytes ahead of %d, want %d", b, c.index, c.want)
		}
	}
	l.add(entriesOf(51, 1, 72)) // replaces 51..100
	if b := l.behind(50); b != one {
		t.Errorf("after a truncation the log is %d bytes ahead of 50, want %d", b, one)
	}
}

func TestLagSamplesAreBounded(t *testing.T) {
	const one = 72 + entryOverhead
	var l logBytes
	const n = 100 * maxLogSamples
	for i := range raft.Index(n) {
		l.add(entriesOf(i+1, 1, 72))
		if len(l.samples) > maxLogSamples {
			t.Fatalf("%d samples, at most %d", len(l.samples), maxLogSamples)
		}
	}
	for _, index := range []raft.Index{0, n / 3, n / 2, n - maxLogSamples/2, n - 1, n} {
		want := int64(n-index) * one
		if b := l.behind(index); b < want || b > want+want/7 {
			t.Errorf("log is %d bytes ahead of %d, want %d or a little more", b, index, want)
		}
	}
	if b := l.behind(n); b != 0 {
		t.Errorf("log is %d bytes ahead of its end", b)
	}
}
