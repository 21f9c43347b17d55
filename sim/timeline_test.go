package sim_test

import (
	"bytes"
	"encoding/json"
	"regexp"
	"strings"
	"testing"

	"github.com/lockstep-rsm/lockstep/sim"
)

// The picture of a run holds what happened in it, and needs no other file.
func TestTimelineIsOnePageWithTheWholeRun(t *testing.T) {
	rec, o, err := busy("1s call client=0 call=1 hosts=0\n2s crash hosts=1 for=500ms\n3s pause hosts=2 for=1s\n5s panic hosts=0\n" +
		"5.1s call client=1 call=1 hosts=1\n5.2s call client=2 call=1 hosts=1\n5.3s call client=1 call=2 hosts=2\n5.4s call client=2 call=2 hosts=1\n" +
		"6s messages drop=0.2 for=2s\n10s cut links=1>2 for=1s\n")
	if err != nil {
		t.Fatal(err)
	}
	var page bytes.Buffer
	o.HTML = &page
	if _, err := sim.Replay(rec, o); err != nil {
		t.Fatal(err)
	}
	data := regexp.MustCompile(`const run = (\{.*\});`).FindSubmatch(page.Bytes())
	if data == nil {
		t.Fatal("the page holds no data")
	}
	var run struct {
		End   int64
		Hosts []struct{ Up, Paused, Terms, Leads, Commits [][2]int64 }

		Decisions             []struct{ Text string }
		Messages, Lost, Calls []any
		Events                []struct{ Kind, Text string }
	}
	if err := json.Unmarshal(data[1], &run); err != nil {
		t.Fatal(err)
	}
	if len(run.Hosts) != 3 || len(run.Decisions) != 5 || len(run.Messages) < 100 || len(run.Lost) == 0 || len(run.Calls) < 2 || run.End < 20_000_000 {
		t.Errorf("%d hosts, %d decisions, %d messages, %d lost, %d calls until %d µs", len(run.Hosts), len(run.Decisions), len(run.Messages), len(run.Lost), len(run.Calls), run.End)
	}
	if up, paused := run.Hosts[1].Up, run.Hosts[2].Paused; len(up) != 2 || up[0] != [2]int64{0, 2_000_000} || up[1][0] != 2_500_000 || len(paused) != 1 || paused[0] != [2]int64{3_000_000, 4_000_000} {
		t.Errorf("host 1 is up in %v, host 2 paused in %v", run.Hosts[1].Up, run.Hosts[2].Paused)
	}
	leads, stopped := 0, false
	for n, h := range run.Hosts {
		leads += len(h.Leads)
		if len(h.Terms) == 0 || len(h.Commits) == 0 {
			t.Errorf("host %d has no terms or no commits", n)
		}
	}
	for _, e := range run.Events {
		stopped = stopped || strings.HasPrefix(e.Text, "machine out of service: ")
	}
	if leads == 0 || !stopped {
		t.Errorf("%d times a host leads; a machine out of service: %v", leads, stopped)
	}
	if foreign := regexp.MustCompile(`(src|href)=|https?://|@import`).Find(page.Bytes()); foreign != nil {
		t.Errorf("the page wants something from elsewhere: %s", foreign)
	}
}
