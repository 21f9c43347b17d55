package server

import (
	"strconv"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/lockstep-rsm/lockstep"
)

// gauges are read from the host's status when somebody asks.
type gauges struct{ m *Metrics }

// maxGroupLabels is how many groups have numbers of their own, those with the lowest ids; others are
// summed under the label othersLabel.
const (
	maxGroupLabels = 100
	othersLabel    = "others"
)

func desc(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc(name, help, labels, nil)
}

var (
	leaderDesc    = desc("lockstep_leader", "1 if this replica leads.", "group")
	commitDesc    = desc("lockstep_commit_index", "Last committed index.", "group")
	appliedDesc   = desc("lockstep_applied_index", "Last executed index.", "group")
	stateDesc     = desc("lockstep_replica_state", "1 for the state that the replica is in.", "group", "state")
	toleratesDesc = desc("lockstep_tolerates", "How many voters may still fail; -1: unknown here. Of the others: the least.", "group")
	sessionsDesc  = desc("lockstep_sessions", "Sessions that the group knows.", "group")
	lagDesc       = desc("lockstep_follower_lag_bytes", "Log of groups that this host leads which is not known to be durable on a peer.", "peer")
	walSizeDesc   = desc("lockstep_wal_size_bytes", "Size of the log on disk.")
	inboxDesc     = desc("lockstep_inbox_bytes", "Accepted and not yet answered.")
)

// states that a replica can be in: one of them is 1, the others 0.
var states = []string{"serving", "recovering", "quarantined", "halted"}

// Describe implements prometheus.Collector.
func (g gauges) Describe(out chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{leaderDesc, commitDesc, appliedDesc, stateDesc, toleratesDesc, sessionsDesc, lagDesc, walSizeDesc, inboxDesc} {
		out <- d
	}
}

// row is what is shown of one group, or of several together.
type row struct {
	leads, commit, applied, tolerates, sessions float64
	states                                      map[string]float64
}

func (r *row) add(s *lockstep.GroupStatus) {
	if s.Role == "leader" {
		r.leads++
	}
	r.commit += float64(s.Commit)
	r.applied += float64(s.Applied)
	r.sessions += float64(s.Sessions)
	if r.states == nil {
		r.states, r.tolerates = map[string]float64{}, float64(s.Tolerates)
	}
	r.tolerates = min(r.tolerates, float64(s.Tolerates))
	r.states[s.State]++
}

// Collect implements prometheus.Collector.
func (g gauges) Collect(out chan<- prometheus.Metric) {
	ask := g.m.status.Load()
	if ask == nil {
		return
	}
	s := (*ask)()
	gauge := func(d *prometheus.Desc, v float64, labels ...string) {
		out <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, labels...)
	}
	gauge(walSizeDesc, float64(s.WALBytes))
	gauge(inboxDesc, float64(s.InboxBytes))
	var others row
	lag := map[lockstep.HostID]float64{}
	show := func(r *row, group string) {
		gauge(leaderDesc, r.leads, group)
		gauge(commitDesc, r.commit, group)
		gauge(appliedDesc, r.applied, group)
		gauge(toleratesDesc, r.tolerates, group)
		gauge(sessionsDesc, r.sessions, group)
		for _, state := range states {
			gauge(stateDesc, r.states[state], group, state)
		}
	}
	for i := range s.Groups {
		for _, f := range s.Groups[i].Followers {
			lag[f.ID] += float64(f.LagBytes)
		}
		if i >= maxGroupLabels {
			others.add(&s.Groups[i])
			continue
		}
		var own row
		own.add(&s.Groups[i])
		show(&own, number(uint64(s.Groups[i].Group)))
	}
	if others.states != nil {
		show(&others, othersLabel)
	}
	for peer, bytes := range lag {
		gauge(lagDesc, bytes, number(uint64(peer)))
	}
}

func number(n uint64) string { return strconv.FormatUint(n, 10) }
