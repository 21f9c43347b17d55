package host

import (
	"testing"
	"time"

	"pgregory.net/rapid"
)

// Every group is given once, at its newest deadline, and it is never said that there is none before that.
func TestDeadlinesComeInOrder(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var d deadlines
		groups := make([]group, 8)
		want := make([]time.Duration, len(groups))
		now := time.Duration(0)
		for range rapid.IntRange(1, 60).Draw(t, "steps") {
			i := rapid.IntRange(0, len(groups)-1).Draw(t, "group")
			at := time.Duration(rapid.IntRange(0, 20).Draw(t, "at"))
			if at > 0 {
				at += now
			}
			d.set(&groups[i], at)
			want[i] = at
			if rapid.Bool().Draw(t, "advance") {
				now += time.Duration(rapid.IntRange(0, 5).Draw(t, "by"))
			}
			for g := d.due(now); g != nil; g = d.due(now) {
				k := 0
				for &groups[k] != g {
					k++
				}
				if want[k] == 0 || want[k] > now {
					t.Fatalf("group %d is due at %v, now %v", k, want[k], now)
				}
				want[k] = 0
			}
			var next time.Duration
			for k, at := range want {
				if at != 0 && at <= now {
					t.Fatalf("group %d waits since %v, now %v", k, at, now)
				}
				if at != 0 && (next == 0 || at < next) {
					next = at
				}
			}
			if d.next() > next && next > 0 || d.next() == 0 && next > 0 {
				t.Fatalf("next deadline %v, want %v", d.next(), next)
			}
			if next == 0 {
				d.due(1 << 62) // slots that nobody waits for any more
				if d.next() != 0 {
					t.Fatalf("next deadline %v, want none", d.next())
				}
			}
		}
	})
}
