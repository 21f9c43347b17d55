package sim_test

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/lockstep-rsm/lockstep/sim"
	"github.com/lockstep-rsm/lockstep/sim/workload"
)

// What a run has decided is all that it has decided: played again it gives the same trace.
func TestRecordingGivesTheTraceOfItsSeed(t *testing.T) {
	t.Parallel()
	seeds := uint64(5)
	if testing.Short() {
		seeds = 1
	}
	for seed := uint64(1); seed <= seeds; seed++ {
		o := workload.KV()
		o.Length = 20 * time.Second
		drawn, err := sim.Play(seed, o)
		if err != nil {
			t.Fatal(err)
		}
		text, err := drawn.Recording.MarshalText()
		if err != nil {
			t.Fatal(err)
		}
		var rec sim.Recording
		if err := rec.UnmarshalText(text); err != nil {
			t.Fatal(err)
		}
		again, err := sim.Replay(&rec, o)
		if err != nil {
			t.Fatal(err)
		}
		if again.Hash != drawn.Hash || again.Events != drawn.Events {
			t.Errorf("seed %d: hash %016x after %d events, its recording gives %016x after %d", seed, drawn.Hash, drawn.Events, again.Hash, again.Events)
		}
		if diff := cmp.Diff(drawn.Recording.Decisions, again.Recording.Decisions); diff != "" {
			t.Errorf("seed %d: other decisions (-drawn +replayed):\n%s", seed, diff)
		}
	}
}

func TestRecordingsThatAreNone(t *testing.T) {
	const head = "lockstep simulation 1\nseed 1\nhosts 3\nclients 1\nlength 1s\n"
	for _, c := range []struct{ text, problem string }{
		{"", "0 hosts"},
		{"seed 1\n", "line 1: this is no simulation"},
		{"lockstep simulation 1\nseed x\n", "line 2: "},
		{"lockstep simulation 1\nhosts 100\n", "100 hosts"},
		{head + "1s", "line 6: a decision is"},
		{head + "soon crash hosts=1", "line 6: "},
		{head + "1s explode hosts=1", `line 6: unknown verb "explode"`},
		{head + "1s crash host=1", `line 6: unknown key "host"`},
		{head + "1s crash hosts=1,", "line 6: hosts: "},
		{head + "1s crash hosts=3", "there is no host 3"},
		{head + "1s cut links=0>9", "there is no host 9"},
		{head + "1s cut links=01", "line 6: links: a link is from>to"},
		{head + "1s messages drop=2", "line 6: drop: a chance is from 0 to 1"},
		{head + "1s call client=0 call=1", "a call goes to one host"},
		{head + "2s crash hosts=1\n1s crash hosts=2", "comes after 2s"},
	} {
		var rec sim.Recording
		if err := rec.UnmarshalText([]byte(c.text)); err == nil || !strings.Contains(err.Error(), c.problem) {
			t.Errorf("%q: %v, want %q", c.text, err, c.problem)
		}
	}
}

// A text that is read is the one that is written, and never more than that.
func FuzzRecordingText(f *testing.F) {
	f.Add([]byte("lockstep simulation 1\n# why\ntest TestX\nseed 37\nhosts 5\nclients 4\nlength 1m0s\n" +
		"950ms cut links=0>2,2>0 reset=yes for=1.2s\n1s power hosts=0,4 for=1ms,2s\n2s messages drop=0.1 delay=0.25 most=20ms for=1s\n" +
		"2.5s jump hosts=1 by=-48h0m0s\n3s drift hosts=1 amount=-300\n3.000000001s call client=2 call=17 hosts=1\n4s snapshot hosts=0,1\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		var rec, again sim.Recording
		if rec.UnmarshalText(text) != nil {
			return
		}
		written, err := rec.MarshalText()
		if err != nil {
			t.Fatal(err)
		}
		if err := again.UnmarshalText(written); err != nil {
			t.Fatalf("%q is written as %q: %v", text, written, err)
		}
		if diff := cmp.Diff(rec, again); diff != "" || rec.Name() != again.Name() {
			t.Errorf("%q is read as another after it is written (-read +again):\n%s", text, diff)
		}
	})
}
