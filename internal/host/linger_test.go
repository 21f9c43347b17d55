package host

import (
	"testing"
	"time"

	"github.com/lockstep-rsm/lockstep/raft"
)

func TestEntryFillsWhileTheLastOneIsUnderWay(t *testing.T) {
	const ms = time.Millisecond
	type look struct {
		at       time.Duration
		commit   raft.Index
		executed raft.Index
		lasts    bool
		wake     time.Duration // by the clock
		until    time.Duration // by whoever calls
	}
	for name, looks := range map[string][]look{
		"committed, then executed": {
			{at: 12 * ms, lasts: true, wake: 16 * ms},
			{at: 13 * ms, commit: 7, lasts: true, until: 16 * ms},
			{at: 14 * ms, commit: 7, executed: 7},
		},
		"a majority that is far away":            {{at: 15 * ms, lasts: true, wake: 16 * ms}, {at: 16 * ms}},
		"a slow machine, as long as the commit":  {{at: 12 * ms, commit: 7, lasts: true, until: 14 * ms}, {at: 14 * ms, commit: 7}},
		"a slow machine, behind a slow majority": {{at: 30 * ms, commit: 8, lasts: true, until: 35 * ms}, {at: 35 * ms, commit: 8}},
	} {
		var l linger
		l.began(7, 10*ms)
		l.saved = 11 * ms
		for _, want := range looks {
			l.reached(want.executed)
			l.reached(want.executed / 2) // another lane's news, late
			if got := l.lasts(want.commit, want.at); got != want.lasts || l.wakeAt != want.wake || l.until != want.until {
				t.Errorf("%s: at %v: %v, until %v by the clock, %v by callers; want %+v", name, want.at, got, l.wakeAt, l.until, want)
			}
		}
		l.began(9, 40*ms)
		l.saved = 40 * ms
		if !l.lasts(8, 41*ms) {
			t.Errorf("%s: the entry after it is not waited for", name)
		}
	}
}
