package server

import (
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

	proposals, busy, elections, repairs                         *prometheus.CounterVec
	leaderChanges, walBytes, divergence                         prometheus.Counter
	proposeSeconds, syncSeconds, applySeconds, proposalsPerSync prometheus.Histogram
	readSeconds, roundTripSeconds                               *prometheus.HistogramVec

	status    atomic.Pointer[func() lockstep.HostStatus]
	logFailed func(why string) // called once the log of the host has failed
	mu        sync.Mutex
	leads     map[uint64]uint64 // group to leader, to count changes once
}

func newMetrics(logFailed func(why string)) *Metrics {
	m := &Metrics{registry: prometheus.NewRegistry(), logFailed: logFailed, leads: map[uint64]uint64{}}
	m.register()
	m.registry.MustRegister(gauges{m}, collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	// What has not happened is 0, not missing.
	for label, values := range map[*prometheus.CounterVec][]string{
		m.proposals: {"committed", "not_committed", "unknown", "refused"},
		m.busy:      {"inbox", "apply", "uncommitted", "order", "session"},
		m.elections: {"election", "transfer"},
		m.repairs:   {"snapshot", "machine"},
	} {
		for _, v := range values {
			label.WithLabelValues(v)
		}
	}
	for _, level := range []string{"linearizable", "stale"} {
		m.readSeconds.WithLabelValues(level)
	}
	return m
}

// register makes the counters and histograms.
func (m *Metrics) register() {
	counter := func(at *prometheus.Counter, name, help string) {
		*at = prometheus.NewCounter(prometheus.CounterOpts{Name: name, Help: help})
		m.registry.MustRegister(*at)
	}
	counters := func(at **prometheus.CounterVec, name, help, label string) {
		*at = prometheus.NewCounterVec(prometheus.CounterOpts{Name: name, Help: help}, []string{label})
		m.registry.MustRegister(*at)
	}
	seconds := prometheus.ExponentialBuckets(16e-6, 2, 20) // 16 µs to 8 s
	histogram := func(at *prometheus.Histogram, name, help string, buckets []float64) {
		*at = prometheus.NewHistogram(prometheus.HistogramOpts{Name: name, Help: help, Buckets: buckets})
		m.registry.MustRegister(*at)
	}
	histograms := func(at **prometheus.HistogramVec, name, help, label string) {
		*at = prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: name, Help: help, Buckets: seconds}, []string{label})
		m.registry.MustRegister(*at)
	}
	counters(&m.proposals, "lockstep_proposals_total", "Proposals of clients of this host, by outcome.", "outcome")
	counters(&m.busy, "lockstep_busy_total", "Calls refused as busy on this host, by the budget that was full.", "budget")
	counters(&m.elections, "lockstep_elections_total", "Elections won by replicas of this host, by reason.", "reason")
	counter(&m.leaderChanges, "lockstep_leader_changes_total", "Changes of the leader as seen by replicas of this host.")
	counter(&m.walBytes, "lockstep_wal_bytes_total", "Bytes synced to the log.")
	counter(&m.divergence, "lockstep_divergence_total", "Machines of this host that were taken out of service because a majority computed another state.")
	counters(&m.repairs, "lockstep_repairs_total", "Replicas of this host that were given what they lacked, and machines that were made anew, by kind.", "kind")
	histogram(&m.proposeSeconds, "lockstep_propose_duration_seconds", "Proposals of clients of this host, whatever their outcome.", seconds)
	histogram(&m.syncSeconds, "lockstep_wal_sync_duration_seconds", "Writes of the log, each with its sync.", seconds)
	histogram(&m.applySeconds, "lockstep_apply_duration_seconds", "Batches of commands in machines of this host.", seconds)
	histograms(&m.readSeconds, "lockstep_read_duration_seconds", "Reads of clients of this host, by level.", "level")
	histograms(&m.roundTripSeconds, "lockstep_peer_round_trip_seconds", "Pings to another host and back.", "peer")
	histogram(&m.proposalsPerSync, "lockstep_proposals_per_sync", "Commands that one sync of the log made durable, of those syncs that had any.", prometheus.ExponentialBuckets(1, 2, 14))
}

// Observe takes an event of the engine. It never parks.
func (m *Metrics) Observe(e env.Event) {
	switch e.Kind {
	case env.LeaderElected:
		m.elections.WithLabelValues(e.Text).Inc()
		m.led(e.Group, e.Replica)
	case env.LeaderKnown:
		m.led(e.Group, e.Peer)
	case env.EntriesApplied:
		if e.Count > 0 {
			m.applySeconds.Observe(e.Took.Seconds())
		}
	case env.WALSynced:
		m.walBytes.Add(float64(e.Bytes))
		m.syncSeconds.Observe(e.Took.Seconds())
		if e.Count > 0 {
			m.proposalsPerSync.Observe(float64(e.Count))
		}
	case env.CallBusy:
		m.busy.WithLabelValues(e.Text).Inc()
	case env.RoundTrip:
		m.roundTripSeconds.WithLabelValues(number(e.Peer)).Observe(e.Took.Seconds())
	case env.ReplicaDiverged:
		m.divergence.Inc()
	case env.SnapshotInstalled:
		if e.Term == 0 { // the machine's word: the algorithm's, which has a term, came before
			m.repairs.WithLabelValues("snapshot").Inc()
		}
	case env.ReplicaFit:
		m.repairs.WithLabelValues("machine").Inc()
	case env.LogFailed:
		m.logFailed(e.Text)
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

// proposed takes the end of a client's proposal.
func (m *Metrics) proposed(outcome string, took time.Duration) {
	m.proposals.WithLabelValues(outcome).Inc()
	m.proposeSeconds.Observe(took.Seconds())
}

// read takes the end of a client's read.
func (m *Metrics) read(level string, took time.Duration) {
	m.readSeconds.WithLabelValues(level).Observe(took.Seconds())
}
