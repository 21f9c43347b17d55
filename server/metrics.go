package server

import (
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"

	"github.com/lockstep-rsm/lockstep"
	"github.com/lockstep-rsm/lockstep/env"
)

// Metrics observes the engine and collects what /metrics shows. It is safe for concurrent use.
// Names and labels are promised; no label ever holds a key or a client.
type Metrics struct {
	registry *prometheus.Registry

	proposals                                    *prometheus.CounterVec
	elections                                    *prometheus.CounterVec
	leaderChanges, walBytes, divergence, repairs prometheus.Counter
	readSeconds                                  *prometheus.HistogramVec
	syncSeconds                                  prometheus.Histogram

	status atomic.Pointer[func() lockstep.HostStatus]
	mu     sync.Mutex
	leads  map[uint64]uint64 // group to leader, to count changes once
}

// maxGroupLabels is how many groups have numbers of their own; others are summed.
const maxGroupLabels = 100

func newMetrics() *Metrics {
	counter := func(name, help string) prometheus.Counter {
		return prometheus.NewCounter(prometheus.CounterOpts{Name: name, Help: help})
	}
	buckets := prometheus.ExponentialBuckets(16e-6, 2, 20) // 16 µs to 8 s
	m := &Metrics{
		registry: prometheus.NewRegistry(),
		proposals: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "lockstep_proposals_total", Help: "Proposals of clients of this host by outcome."}, []string{"outcome"}),
		elections: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "lockstep_elections_total", Help: "Elections won by replicas of this host, by reason."}, []string{"reason"}),
		leaderChanges: counter("lockstep_leader_changes_total", "Changes of the leader as seen by replicas of this host."),
		walBytes:      counter("lockstep_wal_bytes_total", "Bytes synced to the log."),
		divergence:    counter("lockstep_divergence_total", "Replicas of this host that stopped because their state or machine went wrong."),
		repairs:       counter("lockstep_repairs_total", "Snapshots installed on this host."),
		readSeconds: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "lockstep_read_duration_seconds", Help: "Reads of clients by level.", Buckets: buckets}, []string{"level"}),
		syncSeconds: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "lockstep_wal_sync_duration_seconds", Help: "Syncs of the log.", Buckets: buckets}),
		leads: map[uint64]uint64{},
	}
	for _, o := range []string{"committed", "not_committed", "unknown", "refused"} {
		m.proposals.WithLabelValues(o)
	}
	m.registry.MustRegister(m.proposals, m.elections, m.leaderChanges, m.walBytes, m.divergence, m.repairs,
		m.readSeconds, m.syncSeconds, gauges{m},
		collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return m
}

// Observe takes an event of the engine. It never parks.
func (m *Metrics) Observe(e env.Event) {
	switch e.Kind {
	case env.LeaderElected:
		m.elections.WithLabelValues(reason(e.Text)).Inc()
		m.led(e.Group, e.Replica)
	case env.LeaderKnown:
		m.led(e.Group, e.Peer)
	case env.WALSynced:
		m.walBytes.Add(float64(e.Count))
		m.syncSeconds.Observe(time.Duration(e.Digest).Seconds())
	case env.ReplicaStopped:
		m.divergence.Inc()
	case env.SnapshotInstalled:
		m.repairs.Inc()
	}
}

func (m *Metrics) led(group, leader uint64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.leads[group] != leader {
		m.leads[group] = leader
		m.leaderChanges.Inc()
	}
}

// reason bounds the label: texts of the engine are few, but they are for people.
func reason(text string) string {
	if text == "" {
		return "timeout"
	}
	return text[:min(len(text), 40)]
}

// gauges are read from the host's status when somebody asks.
type gauges struct{ m *Metrics }

func desc(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc(name, help, labels, nil)
}

var (
	leaderDesc    = desc("lockstep_leader", "1 if this replica leads.", "group")
	commitDesc    = desc("lockstep_commit_index", "Last committed index.", "group")
	appliedDesc   = desc("lockstep_applied_index", "Last executed index.", "group")
	stateDesc     = desc("lockstep_replica_state", "1 for the state that the replica is in.", "group", "state")
	toleratesDesc = desc("lockstep_tolerates", "How many voters may still fail; -1: unknown here.", "group")
	walSizeDesc   = desc("lockstep_wal_size_bytes", "Size of the log on disk.")
	inboxDesc     = desc("lockstep_inbox_bytes", "Accepted and not yet answered.")
)

// Describe implements prometheus.Collector.
func (g gauges) Describe(out chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{leaderDesc, commitDesc, appliedDesc, stateDesc, toleratesDesc, walSizeDesc, inboxDesc} {
		out <- d
	}
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
	var leads, commit, applied float64 // of the groups without labels of their own
	for i, r := range s.Groups {
		lead := 0.0
		if r.Role == "leader" {
			lead = 1
		}
		if i >= maxGroupLabels {
			leads, commit, applied = leads+lead, commit+float64(r.Commit), applied+float64(r.Applied)
			continue
		}
		group := strconv.FormatUint(uint64(r.Group), 10)
		gauge(leaderDesc, lead, group)
		gauge(commitDesc, float64(r.Commit), group)
		gauge(appliedDesc, float64(r.Applied), group)
		gauge(stateDesc, 1, group, r.State)
		gauge(toleratesDesc, float64(r.Tolerates), group)
	}
	if len(s.Groups) > maxGroupLabels {
		gauge(leaderDesc, leads, "others")
		gauge(commitDesc, commit, "others")
		gauge(appliedDesc, applied, "others")
	}
}
