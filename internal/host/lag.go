package host

import (
	"sort"

	"github.com/lockstep-rsm/lockstep/raft"
)

// logBytes remembers how long a group's log was at some of its indices, so that a follower's lag can
// be told in bytes without walking the log. Samples are the sparser the farther back they are, so
// that a few hundred tell every lag within an eighth.
type logBytes struct {
	samples []logSample // ascending
	total   int64       // at the newest
	oldest  int64       // where samples begin
}

// logSample says how many bytes of log there were through index.
type logSample struct {
	index raft.Index
	total int64
}

// maxLogSamples bounds what one group costs: 8 KiB.
const maxLogSamples = 512

// add counts entries that are written; they replace what was there from the first of them on.
func (l *logBytes) add(entries []raft.Entry) {
	if len(entries) == 0 {
		return
	}
	if n := l.through(entries[0].Index - 1); n < len(l.samples) {
		l.samples, l.total = l.samples[:n], l.oldest
		if n > 0 {
			l.total = l.samples[n-1].total
		}
	}
	for i := range entries {
		l.total += int64(entries[i].Length) + entryOverhead
	}
	if len(l.samples) == maxLogSamples {
		l.thin()
	}
	l.samples = append(l.samples, logSample{entries[len(entries)-1].Index, l.total})
}

// thin drops every sample whose neighbours are closer to each other than an eighth of their lag,
// and the oldest ones if that is not enough.
func (l *logBytes) thin() {
	kept := l.samples[:1]
	for i := 1; i < len(l.samples); i++ {
		s := l.samples[i]
		if i+1 < len(l.samples) && l.samples[i+1].total-kept[len(kept)-1].total <= (l.total-l.samples[i+1].total)/8 {
			continue
		}
		kept = append(kept, s)
	}
	if over := len(kept) - maxLogSamples*3/4; over > 0 {
		l.oldest = kept[over-1].total
		kept = kept[:copy(kept, kept[over:])]
	}
	l.samples = kept
}

// through is how many samples are at index or before it. Mostly it is all of them, or all but the newest few: those are
// looked at first, one by one, as the memory of the others has not been touched for long.
func (l *logBytes) through(index raft.Index) int {
	const few = 4
	n := len(l.samples)
	for oldest := max(n-few, 0); n > oldest; n-- {
		if l.samples[n-1].index <= index {
			return n
		}
	}
	return sort.Search(n, func(i int) bool { return l.samples[i].index > index })
}

// behind is about how many bytes of log come after index: exact at a sample, a little more elsewhere.
func (l *logBytes) behind(index raft.Index) int64 {
	if n := l.through(index); n > 0 {
		return l.total - l.samples[n-1].total
	}
	return l.total - l.oldest
}

// FollowerStatus is what a leader knows of one follower.
type FollowerStatus struct {
	Host    raft.HostID
	Entries uint64 // of the leader's log that are not known to be durable there
	Bytes   int64  // of them, about
}

// publishFollowers tells how far each follower is behind. The lock of pub is held.
func (g *group) publishFollowers() {
	p := &g.pub
	p.followers = p.followers[:0]
	for m, match := range g.r.Followers() {
		f := FollowerStatus{Host: m.Host}
		if last := g.saves.last; match < last {
			f.Entries, f.Bytes = uint64(last-match), g.written.behind(match)
		}
		p.followers = append(p.followers, f)
	}
}
