package sim_test

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/lockstep-rsm/lockstep/machine/counter"
	"github.com/lockstep-rsm/lockstep/sim"
)

// A campaign fails if a fault, a pair of them or a situation that every gate has to reach came up in no
// seed, and says which; its counts are printed line by line.
func TestWhatWasNeverReachedIsNamed(t *testing.T) {
	s := sim.Summary{
		Seeds:  500,
		Faults: []sim.Count{{Name: "crash", N: 9}, {Name: "pause"}},
		Drawn:  []sim.Count{{Name: "crash", N: 4}, {Name: "pause"}},
		Pairs:  []sim.Pair{{A: "crash", B: "pause"}},
		Probes: []sim.Count{{Name: "snapshot installed", N: 60}, {Name: "forward refused"}, {Name: "call refused as busy"}},
		With:   []sim.Count{{Name: "snapshot installed", N: 49}, {Name: "forward refused"}, {Name: "call refused as busy"}},
	}
	want := []string{"crash with pause", "pause", "forward refused", "a snapshot installed in a tenth of the seeds"}
	if got := s.Unreached(); !slices.Equal(got, want) {
		t.Errorf("unreached: %q, want %q", got, want)
	}
	r := sim.Report{Summary: s, Never: s.Unreached()}
	if err := r.Verdict(); err == nil || !strings.Contains(err.Error(), "forward refused") {
		t.Errorf("the verdict is %v", err)
	}
	var out bytes.Buffer
	if _, err := s.WriteTo(&out); err != nil {
		t.Fatal(err)
	}
	for _, line := range []string{
		"     1 crash                                               9        4\n", "     2 pause                                               0        0           0\n",
		"\nfaults never drawn: pause\n", "       snapshot installed                                 60       49\n",
	} {
		if !strings.Contains(out.String(), line) {
			t.Errorf("does not print %q:\n%s", line, out.String())
		}
	}
	if text := r.String(); !strings.HasPrefix(text, "not clean: 500 seeds, ") {
		t.Errorf("the last line is %q", text)
	}
	s.Faults[1].N = 3
	out.Reset()
	if _, err := s.WriteTo(&out); err != nil || !strings.Contains(out.String(), "\nnever together: crash with pause\n") {
		t.Errorf("does not print the pair that was never drawn, %v:\n%s", err, out.String())
	}
	s.Pairs[0].Seeds, s.Probes[1].N, s.With[0].N = 2, 1, 50
	r = sim.Report{Summary: s, Never: s.Unreached()}
	if err := r.Verdict(); err != nil {
		t.Errorf("all was reached, and the verdict is %v", err)
	}
	if r.Unknown = 1; r.Verdict() == nil || !strings.HasPrefix(r.String(), "not clean: ") {
		t.Errorf("a history was not judged, and the verdict is %v: %s", r.Verdict(), r.String())
	}
}

// A seed that proves little, for want of faults or calls, is broken: a harness that no longer injects
// or asks must not pass.
func TestThinSeedIsBroken(t *testing.T) {
	t.Parallel()
	o := quiet(counter.Machine.Kind())
	r, err := sim.Simulate(t.Context(), 1, 1, o, func(sim.Result, error) {})
	if err != nil || len(r.Broken) != 1 || !strings.Contains(r.Broken[0].Err.Error(), "is thin") {
		t.Errorf("a seed without faults: %+v, %v", r, err)
	}
}

// What make soak tells at its end is the sum of the verdicts that campaigns printed, and it fails if one was not clean.
func TestSoakAddsUpVerdicts(t *testing.T) {
	clean := sim.Report{Asked: 500, Took: time.Minute, Summary: sim.Summary{Seeds: 500, Time: 9 * time.Hour, Calls: 700_000, Judged: 600_000}}
	long := sim.Report{Asked: 100, Took: time.Minute, Summary: sim.Summary{Seeds: 100, Time: 100 * time.Hour, Calls: 300_000}}
	bad := sim.Report{Asked: 20, Took: time.Minute, Summary: sim.Summary{Seeds: 11, Time: 3 * time.Hour, Calls: 10, Unknown: 2}}
	bad.Broken = []sim.Broken{{Err: errors.New("broken")}}
	soaked := func(lines ...string) (string, bool) {
		file := filepath.Join(t.TempDir(), "soak.txt")
		if err := os.WriteFile(file, []byte("==> part 1\n"+strings.Join(lines, "\n")+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		out, err := exec.Command("../tools/soaked", file).Output()
		return strings.TrimSpace(string(out)), err == nil
	}
	const want = "soaked: 2 campaigns, 0 of them not clean; 600 seeds, each twice, 0 of them broken; 109.0 simulated hours; " +
		"1000000 operations checked (600000 of them by porcupine, too); 0 verdicts unknown"
	if got, ok := soaked(clean.String(), long.String()); got != want || !ok {
		t.Errorf("%v, %q\nwant %q", ok, got, want)
	}
	const dirty = "soaked: 2 campaigns, 1 of them not clean; 511 seeds, each twice, 1 of them broken; 12.0 simulated hours; " +
		"700010 operations checked (600000 of them by porcupine, too); 2 verdicts unknown"
	if got, ok := soaked(clean.String(), bad.String(), "campaign failed"); got != dirty || ok {
		t.Errorf("%v, %q\nwant %q", ok, got, dirty)
	}
	if got, ok := soaked("nothing"); ok {
		t.Errorf("no campaign passes: %q", got)
	}
}
