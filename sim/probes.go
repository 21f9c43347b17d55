package sim

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"

	"github.com/lockstep-rsm/lockstep"
	"github.com/lockstep-rsm/lockstep/env"
)

// probes count rare situations by name.
type probes struct{ counts map[string]uint64 } // looked up by the names below, never iterated

func (p *probes) hit(name string) { p.add(name, 1) }

func (p *probes) add(name string, n uint64) {
	if p.counts == nil {
		p.counts = map[string]uint64{}
	}
	p.counts[name] += n
}

// call counts what a client was told instead of an answer.
func (p *probes) call(query bool, err error) {
	for _, c := range []struct {
		is   error
		name string
	}{
		{lockstep.ErrDropped, "call dropped by a new leader"},
		{lockstep.ErrNoQuorum, "call without a quorum"},
		{lockstep.ErrBehind, "read before its replica got so far"},
		{lockstep.ErrNoSpace, "call refused for lack of space"},
		{lockstep.ErrBusy, "call refused as busy"},
		{lockstep.ErrHalted, "call refused as halted"},
		{lockstep.ErrSkipped, "call passed over by a snapshot"},
		{lockstep.ErrEvicted, "session evicted"},
		{lockstep.ErrForgotten, "result lost, or token forgotten"},
		{lockstep.ErrNever, "token fenced"},
		{errDown, "call cut short by a crash"},
		{context.Canceled, "call canceled"},
	} {
		if errors.Is(err, c.is) {
			p.hit(c.name)
		}
	}
	if !query && lockstep.OutcomeOf(err) == lockstep.Unknown {
		p.hit("outcome unknown")
	}
}

// A probe is a situation that the gate has to reach.
type probe struct {
	name  string
	count func(r *run) uint64
}

func ofEvent(k env.EventKind) func(*run) uint64 {
	return func(r *run) uint64 { return r.checker.Count(k) }
}

// allProbes in the order in which they are printed. Those without a function are hit by name.
var allProbes = []probe{
	{"leader elected", ofEvent(env.LeaderElected)},
	{"leader stepped down", ofEvent(env.SteppedDown)},
	{"vote granted", ofEvent(env.VoteGranted)},
	{"entry committed", func(r *run) uint64 { return r.checker.Probes().Commits }},
	{"log truncated", ofEvent(env.LogTruncated)},
	{"log compacted", ofEvent(env.LogCompacted)},
	{"log recovered", ofEvent(env.LogRecovered)},
	{"unreported writes recovered", func(r *run) uint64 { return r.checker.Probes().RecoveredMore }},
	{"torn end cut", nil},
	{"mark reported", ofEvent(env.MarkReported)},
	{"snapshot sealed", ofEvent(env.SnapshotSealed)},
	{"snapshot installed", ofEvent(env.SnapshotInstalled)},
	{"snapshot on request", nil},
	{"leadership handed over", nil},
	{"group gone quiet", ofEvent(env.WentQuiet)},
	{"leadership given to one of higher priority", ofEvent(env.LeaderPreferred)},
	{"group destroyed", nil},
	{"members changed", nil},
	{"change of members refused", nil},
	{"host replaced", nil},
	{"removed host came back", nil},
	{"bad token refused", nil},
	{"replica removed", func(r *run) uint64 { return r.checker.Probes().Removed }},
	{"joint configuration", func(r *run) uint64 { return r.checker.Probes().Joint }},
	{"learner promoted", func(r *run) uint64 { return r.checker.Probes().Promoted }},
	{"leader removed", func(r *run) uint64 { return r.checker.Probes().LeaderRemoved }},
	{"snapshot while joint", func(r *run) uint64 { return r.checker.Probes().JointInstalled }},
	{"joint left by another leader", func(r *run) uint64 { return r.checker.Probes().LeftByAnother }},
	{"machine upgraded", ofEvent(env.MachineUpgraded)},
	{"version raised", nil},
	{"version refused", nil},
	{"feature level raised", nil},
	{"host put back to the build before", nil},
	{"build found to be too old", nil},
	{"writes stopped for a while", nil},
	{"call refused as halted", nil},
	{"command passed over", nil},
	{"skip refused", nil},
	{"link lost", ofEvent(env.LinkLost)},
	{"write of a turn taken in part", func(r *run) uint64 { return r.w.Traffic().Halved }},
	{"write of a turn not taken", func(r *run) uint64 { return r.w.Traffic().Untaken }},
	{"call dropped by a new leader", nil},
	{"call without a quorum", nil},
	{"call refused for lack of space", nil},
	{"call cut short by a crash", nil},
	{"call passed over by a snapshot", nil},
	{"call refused as busy", nil},
	{"outcome unknown", nil},
	{"many calls in flight", nil},
	{"payload read back for the machine", nil},
	{"payload read back to be sent", nil},
	{"start refused on a full disk", nil},
	{"start refused on a damaged disk", nil},
	{"damaged log admitted", func(r *run) uint64 { return r.checker.Probes().Admitted }},
	{"damaged replica stopped", func(r *run) uint64 { return r.checker.Probes().Stopped }},
	{"machine out of service", func(r *run) uint64 { return r.checker.Probes().Unfit }},
	{"replica diverged", ofEvent(env.ReplicaDiverged)},
	{"machine made anew", ofEvent(env.ReplicaFit)},
	{"quarantined host restarted", nil},
	{"group found with its machine out of service", nil},
	{"core healed alone", nil},
	{"answered from the table of sessions", ofEvent(env.CommandRepeated)},
	{"session evicted", nil},
	{"result lost, or token forgotten", nil},
	{"token fenced", nil},
	{"tick executed", func(r *run) uint64 { return r.witness.Ticks() }},
}

// optional probes are not reached by every workload, or every few hundred seeds.
var optional = map[string]bool{
	"call refused as busy": true, "call passed over by a snapshot": true, "start refused on a full disk": true,
	"start refused on a damaged disk": true, "damaged replica stopped": true, "group found with its machine out of service": true, "tick executed": true,
	"snapshot while joint": true, "joint left by another leader": true, "build found to be too old": true,
}

func (r *run) countProbes() []Count {
	counts := make([]Count, 0, len(allProbes))
	for _, p := range allProbes {
		n := r.probes.counts[p.name]
		if p.count != nil {
			n = p.count(r)
		}
		counts = append(counts, Count{p.name, n})
	}
	return counts
}

// describe is an event as a trace line has it.
func describe(e *env.Event) string {
	return fmt.Sprintf("kind=%d group=%d replica=%d term=%d index=%d peer=%d digest=%016x count=%d text=%q",
		e.Kind, e.Group, e.Replica, e.Term, e.Index, e.Peer, e.Digest, e.Count, e.Text)
}

// tap is the log of one life: situations are told there that no event tells of.
type tap struct {
	r    *run
	host int
	with []slog.Attr
}

// Enabled implements slog.Handler.
func (t *tap) Enabled(_ context.Context, level slog.Level) bool { return level >= slog.LevelInfo }

// Handle implements slog.Handler.
func (t *tap) Handle(_ context.Context, rec slog.Record) error {
	if rec.Message == "log recovered" {
		rec.Attrs(func(a slog.Attr) bool {
			if a.Key == "note" && strings.Contains(a.Value.String(), "never synced and is cut") {
				t.r.probes.hit("torn end cut")
			}
			return true
		})
	}
	if rec.Message == "feature level is raised" {
		t.r.probes.hit("feature level raised")
	}
	if t.r.o.Trace != nil {
		fmt.Fprintf(t.r.o.Trace, "%.6f h%d log %v %s", t.r.w.Now().Seconds(), t.host, rec.Level, rec.Message)
		rec.Attrs(func(a slog.Attr) bool {
			fmt.Fprintf(t.r.o.Trace, " %s=%v", a.Key, a.Value)
			return true
		})
		fmt.Fprintln(t.r.o.Trace)
	}
	return nil
}

// WithAttrs implements slog.Handler.
func (t *tap) WithAttrs(attrs []slog.Attr) slog.Handler {
	return &tap{r: t.r, host: t.host, with: append(t.with[:len(t.with):len(t.with)], attrs...)}
}

// WithGroup implements slog.Handler.
func (t *tap) WithGroup(string) slog.Handler { return t }
