package server

import (
	"context"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	"github.com/lockstep-rsm/lockstep"
	"github.com/lockstep-rsm/lockstep/env"
)

// promised are the metrics and the labels that each may have beside le.
var promised = map[string]string{
	"lockstep_proposals_total":           `outcome="(committed|not_committed|unknown|refused)"`,
	"lockstep_busy_total":                `budget="(inbox|apply|uncommitted|order|session)"`,
	"lockstep_elections_total":           `reason="(election|transfer)"`,
	"lockstep_leader_changes_total":      "",
	"lockstep_wal_bytes_total":           "",
	"lockstep_divergence_total":          "",
	"lockstep_repairs_total":             `kind="(snapshot|machine)"`,
	"lockstep_leader":                    `group="(\d+|others)"`,
	"lockstep_commit_index":              `group="(\d+|others)"`,
	"lockstep_applied_index":             `group="(\d+|others)"`,
	"lockstep_replica_state":             `group="(\d+|others)",state="(serving|recovering|quarantined|halted)"`,
	"lockstep_tolerates":                 `group="(\d+|others)"`,
	"lockstep_sessions":                  `group="(\d+|others)"`,
	"lockstep_wal_size_bytes":            "",
	"lockstep_inbox_bytes":               "",
	"lockstep_follower_lag_bytes":        `peer="\d+"`,
	"lockstep_propose_duration_seconds":  "",
	"lockstep_wal_sync_duration_seconds": "",
	"lockstep_apply_duration_seconds":    "",
	"lockstep_read_duration_seconds":     `level="(linearizable|stale)"`,
	"lockstep_peer_round_trip_seconds":   `peer="\d+"`,
	"lockstep_proposals_per_sync":        "",
}

var (
	sample = regexp.MustCompile(`^(lockstep_\w+?)(?:_bucket|_sum|_count)?(?:\{(.*)\})? (\S+)$`)
	bucket = regexp.MustCompile(`,?le="[^"]*"`)
)

// checkSamples holds every sample to what is promised, and gives the names and labels with their values.
func checkSamples(t *testing.T, text string) map[string]string {
	t.Helper()
	found := map[string]string{}
	for _, line := range strings.Split(text, "\n") {
		if !strings.HasPrefix(line, "lockstep_") {
			continue
		}
		m := sample.FindStringSubmatch(line)
		if m == nil {
			t.Errorf("metrics have a line that is no sample: %s", line)
			continue
		}
		labels, ok := promised[m[1]]
		if got := bucket.ReplaceAllString(m[2], ""); !ok || !regexp.MustCompile("^"+labels+"$").MatchString(got) {
			t.Errorf("%s is not promised, or not with labels %s", m[1], got)
		}
		found[m[1]] = m[3]
		found[strings.Fields(line)[0]] = m[3]
	}
	return found
}

// openThree serves one cluster from three servers.
func openThree(t *testing.T) []*Server {
	hosts := freeAddrs(t, 3)
	servers := make([]*Server, 3)
	for i := range servers {
		servers[i] = open(t, func(o *Options) { o.Host.Addr, o.Host.Founders = hosts[i], hosts })
	}
	return servers
}

// eventually waits until is gives nil, and fails with what it gave last.
func eventually(t *testing.T, is func() error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		err := is()
		if err == nil {
			return
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			t.Fatal(err)
		}
	}
}

func TestEveryPromisedMetricIsThere(t *testing.T) {
	servers := openThree(t)
	conn, err := grpc.NewClient(servers[0].Endpoint(), grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	keys := pb.NewKVClient(conn)
	eventually(t, func() error {
		_, err := keys.Put(t.Context(), &pb.PutRequest{Key: []byte("secret"), Value: []byte("1")}, grpc.WaitForReady(true))
		return err
	})
	for _, stale := range []bool{false, true} {
		if _, err := keys.Range(t.Context(), &pb.RangeRequest{Key: []byte("secret"), Serializable: stale}); err != nil {
			t.Fatal(err)
		}
	}
	eventually(t, func() error {
		found := map[string]string{}
		for _, s := range servers {
			_, text := get(t, s, "/metrics")
			for name, value := range checkSamples(t, text) {
				if found[name] == "" || found[name] == "0" {
					found[name] = value
				}
			}
		}
		for name := range promised {
			if found[name] == "" {
				return fmt.Errorf("no server shows %s", name)
			}
		}
		for _, name := range []string{
			`lockstep_proposals_total{outcome="committed"}`, `lockstep_elections_total{reason="election"}`, "lockstep_leader_changes_total",
			"lockstep_wal_bytes_total", `lockstep_leader{group="1"}`, `lockstep_commit_index{group="1"}`, `lockstep_applied_index{group="1"}`,
			`lockstep_replica_state{group="1",state="serving"}`, `lockstep_tolerates{group="1"}`, "lockstep_wal_size_bytes",
			"lockstep_propose_duration_seconds_count", "lockstep_propose_duration_seconds_sum", "lockstep_wal_sync_duration_seconds_count",
			"lockstep_wal_sync_duration_seconds_sum", "lockstep_apply_duration_seconds_count", "lockstep_apply_duration_seconds_sum",
			`lockstep_read_duration_seconds_count{level="linearizable"}`, `lockstep_read_duration_seconds_count{level="stale"}`,
			"lockstep_proposals_per_sync_count", "lockstep_proposals_per_sync_sum", `lockstep_peer_round_trip_seconds_count{peer="1"}`,
			`lockstep_peer_round_trip_seconds_count{peer="2"}`, `lockstep_peer_round_trip_seconds_count{peer="3"}`,
		} {
			if found[name] == "" || found[name] == "0" {
				return fmt.Errorf("%s is %q on all servers, want something that happened", name, found[name])
			}
		}
		return nil
	})
}

// scrape is what Metrics show of a host in a state.
func scrape(t *testing.T, m *Metrics, status lockstep.HostStatus) map[string]string {
	t.Helper()
	ask := func() lockstep.HostStatus { return status }
	m.status.Store(&ask)
	families, err := m.registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	var text strings.Builder
	for _, f := range families {
		for _, s := range f.Metric {
			var labels []string
			for _, l := range s.Label {
				labels = append(labels, fmt.Sprintf("%s=%q", l.GetName(), l.GetValue()))
			}
			name := f.GetName()
			if len(labels) > 0 {
				name += "{" + strings.Join(labels, ",") + "}"
			}
			switch {
			case s.Gauge != nil:
				fmt.Fprintf(&text, "%s %v\n", name, s.Gauge.GetValue())
			case s.Counter != nil:
				fmt.Fprintf(&text, "%s %v\n", name, s.Counter.GetValue())
			case s.Histogram != nil:
				fmt.Fprintf(&text, "%s %v\n", name, s.Histogram.GetSampleSum())
			}
		}
	}
	return checkSamples(t, text.String())
}

func (m *Metrics) expect(t *testing.T, status lockstep.HostStatus, want map[string]string) {
	t.Helper()
	found := scrape(t, m, status)
	for name, value := range want {
		if found[name] != value {
			t.Errorf("%s is %q, want %q", name, found[name], value)
		}
	}
}

func TestGroupsBeyondTheHundredthAreSummed(t *testing.T) {
	m := newMetrics(func(string) {})
	var s lockstep.HostStatus
	for id := lockstep.GroupID(1); id <= 103; id++ {
		g := lockstep.GroupStatus{
			Group: id, Role: "leader", State: "serving", Commit: 10, Applied: 9, Tolerates: 1,
			Followers: []lockstep.FollowerStatus{{ID: 2, LagBytes: 7}, {ID: 3}},
		}
		if id == 102 {
			g.Role, g.State, g.Tolerates, g.Followers = "follower", "halted", -1, nil
		}
		s.Groups = append(s.Groups, g)
	}
	m.expect(t, s, map[string]string{
		`lockstep_leader{group="100"}`: "1", `lockstep_leader{group="101"}`: "", `lockstep_leader{group="others"}`: "2",
		`lockstep_commit_index{group="others"}`: "30", `lockstep_applied_index{group="others"}`: "27",
		`lockstep_tolerates{group="others"}`: "-1", `lockstep_tolerates{group="1"}`: "1",
		`lockstep_replica_state{group="1",state="serving"}`: "1", `lockstep_replica_state{group="1",state="halted"}`: "0",
		`lockstep_replica_state{group="others",state="serving"}`: "2", `lockstep_replica_state{group="others",state="halted"}`: "1",
		`lockstep_follower_lag_bytes{peer="2"}`: fmt.Sprint(102 * 7), `lockstep_follower_lag_bytes{peer="3"}`: "0",
	})
}

func TestEventsAreCounted(t *testing.T) {
	var why []string
	m := newMetrics(func(text string) { why = append(why, text) })
	for _, e := range []env.Event{
		{Kind: env.LeaderElected, Group: 1, Replica: 1, Text: "election"},
		{Kind: env.LeaderElected, Group: 1, Replica: 1, Text: "transfer"}, // the same leader
		{Kind: env.LeaderKnown, Group: 1, Peer: 2},
		{Kind: env.EntriesApplied, Group: 1, Count: 3, Took: time.Second},
		{Kind: env.EntriesApplied, Group: 1, Took: time.Hour}, // no command: not the machine's time
		{Kind: env.WALSynced, Bytes: 4096, Took: 2 * time.Second, Count: 5},
		{Kind: env.WALSynced, Bytes: 4096, Took: 2 * time.Second},
		{Kind: env.CallBusy, Text: "inbox"},
		{Kind: env.RoundTrip, Peer: 3, Took: 3 * time.Second},
		{Kind: env.ReplicaDiverged, Group: 1},
		{Kind: env.ReplicaUnfit, Group: 1}, // the same replica
		{Kind: env.ReplicaFit, Group: 1},
		{Kind: env.SnapshotInstalled, Group: 1, Term: 4},
		{Kind: env.SnapshotInstalled, Group: 1}, // the same snapshot
		{Kind: env.LogFailed, Text: "no disk"},
	} {
		m.Observe(e)
	}
	m.proposed("unknown", time.Second)
	m.read("stale", time.Second)
	m.expect(t, lockstep.HostStatus{}, map[string]string{
		`lockstep_elections_total{reason="election"}`: "1", `lockstep_elections_total{reason="transfer"}`: "1",
		"lockstep_leader_changes_total": "2", "lockstep_apply_duration_seconds": "1",
		"lockstep_wal_bytes_total": "8192", "lockstep_wal_sync_duration_seconds": "4", "lockstep_proposals_per_sync": "5",
		`lockstep_busy_total{budget="inbox"}`: "1", `lockstep_busy_total{budget="apply"}`: "0",
		`lockstep_peer_round_trip_seconds{peer="3"}`: "3", "lockstep_divergence_total": "1",
		`lockstep_repairs_total{kind="snapshot"}`: "1", `lockstep_repairs_total{kind="machine"}`: "1", `lockstep_proposals_total{outcome="unknown"}`: "1",
		"lockstep_propose_duration_seconds": "1", `lockstep_read_duration_seconds{level="stale"}`: "1",
	})
	if !slices.Equal(why, []string{"no disk"}) {
		t.Errorf("a failed log was told as %q", why)
	}
}

func TestObservingDoesNotAllocate(t *testing.T) {
	m := newMetrics(func(string) {})
	events := []env.Event{
		{Kind: env.EntriesApplied, Count: 1, Took: 1},
		{Kind: env.WALSynced, Bytes: 1, Took: 1, Count: 1},
		{Kind: env.EntryAppended},
		{Kind: env.CommitAdvanced},
		{Kind: env.CallBusy, Text: "inbox"},
	}
	if n := testing.AllocsPerRun(100, func() {
		for _, e := range events {
			m.Observe(e)
		}
	}); n != 0 {
		t.Errorf("events allocate %v times", n)
	}
}

func TestMetricsAreDocumented(t *testing.T) {
	text, err := os.ReadFile("../docs/operate.md")
	if err != nil {
		t.Fatal(err)
	}
	told := map[string]bool{}
	for _, name := range regexp.MustCompile(`lockstep_[a-z_]+[a-z]`).FindAllString(string(text), -1) {
		told[name] = true
	}
	for name := range promised {
		if !told[name] {
			t.Errorf("docs/operate.md does not tell of %s", name)
		}
		delete(told, name)
	}
	for name := range told {
		t.Errorf("docs/operate.md tells of %s, which there is not", name)
	}
}
