package check_test

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/lockstep-rsm/lockstep/env"
	"github.com/lockstep-rsm/lockstep/machine"
	"github.com/lockstep-rsm/lockstep/machine/counter"
	"github.com/lockstep-rsm/lockstep/machine/kv"
	"github.com/lockstep-rsm/lockstep/sim/check"
)

// verdicts collects what a judge says.
type verdicts []string

func (v *verdicts) fail(format string, args ...any) { *v = append(*v, fmt.Sprintf(format, args...)) }

func (v *verdicts) expect(t *testing.T, want string) {
	t.Helper()
	got := strings.Join(*v, "; ")
	if want == "" && got != "" || !strings.Contains(got, want) {
		t.Errorf("the judge says %q, want %q", got, want)
	}
}

// at is an event of group 1 on a host, whose replica has the host's number plus one.
type at struct {
	host int
	e    env.Event
}

func ev(host int, kind env.EventKind, term, index, peer, digest uint64) at {
	return at{host, env.Event{Kind: kind, Group: 1, Replica: uint64(host) + 1, Term: term, Index: index, Peer: peer, Digest: digest}}
}

// begun is three replicas of which the first leads term 2, and what it appends is at 2.
func begun() []at {
	events := []at{}
	for h := range 3 {
		events = append(events, ev(h, env.LogRecovered, 1, 1, 0, 0xa1))
	}
	return append(events, ev(0, env.VoteGranted, 2, 0, 1, 0), ev(1, env.VoteGranted, 2, 0, 1, 0),
		ev(0, env.LeaderElected, 2, 0, 0, 0), ev(0, env.EntryAppended, 2, 2, 0, 0xa2), ev(1, env.EntryAppended, 2, 2, 0, 0xa2))
}

func committed() []at {
	return append(begun(), ev(0, env.EntriesSaved, 2, 2, 0, 0xa2), ev(1, env.EntriesSaved, 2, 2, 0, 0xa2), ev(0, env.CommitAdvanced, 2, 2, 0, 0))
}

func TestCheckerBites(t *testing.T) {
	crash, damage, ill, old := at{host: -1}, at{host: -2}, at{host: -3}, at{host: -4} // of host 0
	admits := ev(0, env.LogRecovered, 2, 1, 1, 0xa1)
	admits.e.Text = "no vote until repaired"
	keeps := ev(0, env.LogRecovered, 2, 2, 1, 0xa2)
	keeps.e.Text = admits.e.Text
	for _, c := range []struct {
		name   string
		events []at
		want   string
	}{
		{"all is well", append(committed(), ev(0, env.EntriesApplied, 2, 2, 0, 7), ev(1, env.CommitAdvanced, 2, 2, 0, 0), ev(1, env.EntriesApplied, 2, 2, 0, 7)), ""},
		{"two leaders of one term", append(begun(), ev(1, env.LeaderElected, 2, 0, 0, 0)), "both lead term 2"},
		{"leader without durable votes", append(begun(), ev(2, env.LeaderElected, 3, 0, 0, 0)), "R9"},
		{"leader by a vote that was durable, and told of by nobody before a crash", append(begun(), crash, ev(0, env.LogRecovered, 3, 1, 3, 0xa1),
			ev(2, env.VoteGranted, 3, 0, 3, 0), ev(2, env.LeaderElected, 3, 0, 0, 0)), ""},
		{"second vote after a crash that told of the first", append(begun(), crash, ev(0, env.LogRecovered, 3, 1, 3, 0xa1), ev(0, env.VoteGranted, 3, 0, 1, 0)), "R1: host 0"},
		{"two votes in one term", append(begun(), ev(1, env.VoteGranted, 2, 0, 3, 0)), "R1: host 1"},
		{"another entry of the same term", append(begun(), ev(2, env.EntryAppended, 2, 2, 0, 0xb2)), "R2"},
		{"commit on one disk", append(begun(), ev(0, env.EntriesSaved, 2, 2, 0, 0xa2), ev(0, env.CommitAdvanced, 2, 2, 0, 0)), "durable on 1 of 3"},
		{"older term committed by its leader", append(begun(), ev(0, env.EntriesSaved, 2, 2, 0, 0xa2), ev(1, env.EntriesSaved, 2, 2, 0, 0xa2),
			ev(0, env.VoteGranted, 3, 0, 1, 0), ev(1, env.VoteGranted, 3, 0, 1, 0), ev(0, env.LeaderElected, 3, 0, 0, 0), ev(0, env.CommitAdvanced, 3, 2, 0, 0)), "of an older term"},
		{"leader without what is committed", append(committed(), ev(1, env.VoteGranted, 3, 0, 3, 0), ev(2, env.VoteGranted, 3, 0, 3, 0), ev(2, env.LeaderElected, 3, 0, 0, 0)), "R6"},
		{"applied before the commit", append(begun(), ev(0, env.EntriesSaved, 2, 2, 0, 0xa2), ev(0, env.EntriesApplied, 2, 2, 0, 7)), "R4"},
		{"other results", append(committed(), ev(0, env.EntriesApplied, 2, 2, 0, 7), ev(1, env.CommitAdvanced, 2, 2, 0, 0), ev(1, env.EntriesApplied, 2, 2, 0, 8)), "chain of results"},
		{"saved and lost", append(committed(), crash, ev(0, env.LogRecovered, 2, 1, 1, 0xa1)), "R7"},
		{"second snapshot not durable, nor what was behind the first", append(committed(), ev(0, env.SnapshotInstalled, 2, 2, 0, 0xa2), ev(0, env.EntriesSaved, 2, 2, 0, 0xa2),
			ev(0, env.EntryAppended, 2, 3, 0, 0xa3), ev(0, env.SnapshotInstalled, 2, 3, 0, 0xa3), crash, ev(0, env.LogRecovered, 2, 2, 1, 0xa2)), ""},
		{"truncation that a crash undoes", append(begun(), ev(1, env.EntriesSaved, 2, 2, 0, 0xa2), ev(1, env.LogTruncated, 3, 2, 0, 0), ev(1, env.EntryAppended, 3, 2, 0, 0xb2),
			crash, ev(1, env.LogRecovered, 2, 2, 1, 0xa2)), ""},
		{"second of two truncations that a crash undoes", append(begun(), ev(1, env.EntriesSaved, 2, 2, 0, 0xa2), ev(1, env.LogTruncated, 3, 2, 0, 0), ev(1, env.EntryAppended, 3, 2, 0, 0xb2),
			ev(1, env.LogTruncated, 4, 2, 0, 0), ev(1, env.EntryAppended, 4, 2, 0, 0xc2), crash, ev(1, env.LogRecovered, 2, 2, 1, 0xb2)), ""},
		{"truncation that was durable undone", append(begun(), ev(1, env.EntriesSaved, 2, 2, 0, 0xa2), ev(1, env.LogTruncated, 3, 2, 0, 0), ev(1, env.EntryAppended, 3, 2, 0, 0xb2),
			ev(1, env.EntriesSaved, 3, 2, 0, 0xb2), crash, ev(1, env.LogRecovered, 2, 2, 1, 0xa2)), "R7"},
		{"truncation undone and half of it lost", append(begun(), ev(1, env.EntryAppended, 2, 3, 0, 0xa3), ev(1, env.EntryAppended, 2, 4, 0, 0xa4),
			ev(1, env.EntriesSaved, 2, 4, 0, 0xa4), ev(1, env.LogTruncated, 3, 3, 0, 0), ev(1, env.EntryAppended, 3, 3, 0, 0xb3),
			crash, ev(1, env.LogRecovered, 2, 3, 1, 0xa3)), "R7"},
		{"vote forgotten", append(committed(), crash, ev(0, env.LogRecovered, 1, 2, 0, 0xa2)), "R9"},
		{"other state at a mark", append(committed(), ev(0, env.MarkReported, 0, 2, 0, 1), ev(1, env.MarkReported, 0, 2, 0, 2)), "mark 2"},
		{"term goes back", append(begun(), ev(1, env.TermChanged, 5, 0, 0, 0), ev(1, env.TermChanged, 4, 0, 0, 0)), "term went back"},
		{"applied goes back", append(committed(), ev(0, env.EntriesApplied, 2, 2, 0, 7), ev(0, env.EntriesApplied, 2, 1, 0, 6)), "applied index went back"},
		{"gap in the log", append(begun(), ev(1, env.EntryAppended, 2, 4, 0, 0xa4)), "R2"},
		{"another entry committed", append(committed(), ev(2, env.EntryAppended, 3, 2, 0, 0xb2), ev(2, env.CommitAdvanced, 3, 2, 0, 0)), "R5"},
		{"saved other than appended", append(begun(), ev(1, env.EntriesSaved, 2, 2, 0, 0xb2)), "A8"},
		{"committed entry truncated", append(committed(), ev(0, env.LogTruncated, 2, 2, 0, 0)), "first truncated index"},
		{"log cut and no snapshot", append(begun(), ev(1, env.LogCompacted, 2, 3, 0, 0), ev(1, env.TermChanged, 3, 0, 0, 0)), "no snapshot is there"},
		{"snapshot of another entry", append(committed(), ev(2, env.SnapshotInstalled, 2, 2, 0, 0xb2)), "R5"},
		{"restarted with another entry", append(committed(), crash, ev(0, env.LogRecovered, 2, 2, 1, 0xb2)), "R7"},
		{"commit goes back", append(committed(), ev(0, env.CommitAdvanced, 2, 1, 0, 0)), "went back"},
		{"leader of an older term elected late", append(committed(), ev(1, env.VoteGranted, 1, 0, 3, 0), ev(2, env.VoteGranted, 1, 0, 3, 0), ev(2, env.LeaderElected, 1, 0, 0, 0)), ""},
		{"log cut where the own snapshot is", append(committed(), ev(1, env.LogCompacted, 2, 3, 0, 0), ev(1, env.TermChanged, 3, 0, 0, 0)), ""},
		{"damaged log lost its end and says so", append(committed(), damage, crash, admits), ""},
		{"damaged log kept what was not reported saved", append(begun(), ev(1, env.EntriesSaved, 2, 2, 0, 0xa2), ev(2, env.EntryAppended, 2, 2, 0, 0xa2),
			ev(2, env.EntriesSaved, 2, 2, 0, 0xa2), damage, crash, keeps, ev(1, env.TermChanged, 3, 0, 0, 0), ev(0, env.CommitAdvanced, 2, 2, 0, 0), ev(0, env.EntriesApplied, 2, 2, 0, 7)), ""},
		{"damaged log lost its end in silence", append(committed(), damage, crash, ev(0, env.LogRecovered, 2, 1, 1, 0xa1)), "R7"},
		{"sound log lost its end and says so", append(committed(), crash, admits), "R7"},
		{"damaged replica stopped", append(committed(), damage, ev(0, env.ReplicaStopped, 0, 2, 0, 0)), ""},
		{"damaged replica has other results", append(committed(), damage, ev(0, env.EntriesApplied, 2, 2, 0, 7), ev(1, env.CommitAdvanced, 2, 2, 0, 0), ev(1, env.EntriesApplied, 2, 2, 0, 8)), "chain of results"},
		{"machine out of service", append(committed(), ev(0, env.ReplicaUnfit, 0, 2, 0, 0)), "stopped"},
		{"spoilt machine out of service", append(committed(), ill, ev(0, env.ReplicaUnfit, 0, 2, 0, 0)), ""},
		{"spoilt machine's replica stopped, its log full", append(committed(), ill, ev(0, env.ReplicaStopped, 0, 2, 0, 0)), ""},
		{"other machine spoilt", append(committed(), ill, ev(1, env.ReplicaUnfit, 0, 2, 0, 0)), "stopped"},
		{"spoilt machine differs", append(committed(), ill, ev(0, env.MarkReported, 0, 2, 0, 7), ev(1, env.MarkReported, 0, 2, 0, 8)), ""},
		{"machine made anew differs", append(committed(), ill, ev(0, env.ReplicaRebuilt, 0, 0, 0, 0), ev(0, env.MarkReported, 0, 2, 0, 7), ev(1, env.MarkReported, 0, 2, 0, 8)), "digest of the state"},
		{"machine made anew from other results", append(committed(), ev(1, env.CommitAdvanced, 2, 2, 0, 0), ev(1, env.EntriesApplied, 2, 2, 0, 8), ev(0, env.ReplicaRebuilt, 0, 2, 0, 9)), "chain of results"},
		{"replica stopped", append(committed(), ev(0, env.ReplicaStopped, 0, 2, 0, 0)), "stopped"},
		{"replica whose build is too old stopped", append(committed(), old, ev(0, env.ReplicaStopped, 0, 2, 0, 0)), ""},
		{"another replica stopped", append(committed(), old, ev(1, env.ReplicaStopped, 0, 2, 0, 0)), "stopped"},
	} {
		t.Run(c.name, func(t *testing.T) {
			var v verdicts
			judge := check.New(3, v.fail)
			for _, e := range c.events {
				switch e.host {
				case crash.host:
					judge.Crashed(0)
					continue
				case damage.host:
					judge.Damaged(0)
					continue
				case ill.host:
					judge.Ail(0)
					continue
				case old.host:
					judge.Outdated(0, true)
					continue
				}
				judge.Observe(e.host, &e.e)
			}
			v.expect(t, c.want)
		})
	}
}

func add(t *testing.T, n int64) []byte {
	t.Helper()
	b, err := counter.Machine.EncodeCommand(counter.Add{N: n})
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// replay is a witness, and the machines of two hosts that report to it.
func replay(t *testing.T, v *verdicts) (*check.Witness, [2]machine.StateMachine) {
	t.Helper()
	w, err := check.NewWitness(counter.Machine.Kind(), 1, v.fail)
	if err != nil {
		t.Fatal(err)
	}
	var ms [2]machine.StateMachine
	for h := range ms {
		if ms[h], err = w.Kind(counter.Machine.Kind(), h).New(&machine.Place{Version: 1}); err != nil {
			t.Fatal(err)
		}
	}
	return w, ms
}

func apply(t *testing.T, m machine.StateMachine, index machine.Index, cmds ...[]byte) []byte {
	t.Helper()
	var out machine.Results
	var batch []machine.Command
	for i, c := range cmds {
		batch = append(batch, machine.Command{Data: c, Index: index, Ordinal: uint32(i)})
	}
	if err := m.Apply(batch, &out); err != nil {
		t.Fatal(err)
	}
	data, _ := out.At(0)
	return append([]byte(nil), data...)
}

func TestWitnessBites(t *testing.T) {
	for _, c := range []struct {
		name string
		do   func(ms [2]machine.StateMachine)
		want string
	}{
		{"equal", func(ms [2]machine.StateMachine) { apply(t, ms[1], 5, add(t, 1)); apply(t, ms[1], 6, add(t, 2)) }, ""},
		{"skips an entry", func(ms [2]machine.StateMachine) { apply(t, ms[1], 6, add(t, 2)) }, "executes command 6.0 where the log has 5.0"},
		{"another command", func(ms [2]machine.StateMachine) { apply(t, ms[1], 5, add(t, 3)) }, "executes another command 5.0"},
	} {
		t.Run(c.name, func(t *testing.T) {
			var v verdicts
			_, ms := replay(t, &v)
			apply(t, ms[0], 5, add(t, 1))
			apply(t, ms[0], 6, add(t, 2))
			c.do(ms)
			v.expect(t, c.want)
		})
	}
}

func TestCallsBite(t *testing.T) {
	query, err := counter.Machine.EncodeQuery(counter.Get{})
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name string
		do   func(calls *check.Calls, reply []byte)
		want string
	}{
		{"answered as executed", func(calls *check.Calls, reply []byte) {
			end(calls, &check.Call{Input: add(t, 1), Index: 5, Output: reply})
		}, ""},
		{"another answer", func(calls *check.Calls, reply []byte) {
			end(calls, &check.Call{Input: add(t, 1), Index: 5, Output: []byte("9")})
		}, "H1"},
		{"a place where it is not", func(calls *check.Calls, reply []byte) {
			end(calls, &check.Call{Input: add(t, 7), Index: 5, Output: reply})
		}, "H2"},
		{"a place that nobody executed", func(calls *check.Calls, reply []byte) {
			end(calls, &check.Call{Input: add(t, 1), Index: 9, Output: reply})
		}, "H2"},
		{"executed and never sent", func(calls *check.Calls, reply []byte) { calls.Finish() }, "sent 0 times"},
		{"executed and said not to be", func(calls *check.Calls, reply []byte) {
			call := &check.Call{Input: add(t, 1)}
			calls.Begin(call)
			call.Outcome = check.Never
			calls.End(call)
			calls.Finish()
		}, "sent 0 times"},
		{"read of the past", func(calls *check.Calls, reply []byte) {
			end(calls, &check.Call{Input: add(t, 1), Index: 5, Output: reply})
			end(calls, &check.Call{Input: query, Query: true, Linearizable: true, Index: 4, Output: []byte("0")})
		}, "R8"},
		{"order against time", func(calls *check.Calls, reply []byte) {
			end(calls, &check.Call{Input: query, Query: true, Linearizable: true, Index: 5, Output: reply})
			end(calls, &check.Call{Input: add(t, 1), Index: 5, Output: reply})
		}, "H3"},
	} {
		t.Run(c.name, func(t *testing.T) {
			var v verdicts
			w, ms := replay(t, &v)
			reply := apply(t, ms[0], 5, add(t, 1))
			c.do(check.NewCalls(w, v.fail), reply)
			v.expect(t, c.want)
		})
	}
}

func TestCommandsOfAStreamThatOvertakeAreFound(t *testing.T) {
	for _, c := range []struct {
		executed []int64
		want     string
	}{{[]int64{1, 2}, ""}, {[]int64{2, 1}, "H7"}, {[]int64{2}, ""}} {
		var v verdicts
		w, ms := replay(t, &v)
		calls := check.NewCalls(w, v.fail)
		calls.Begin(&check.Call{Input: add(t, 1), Stream: 1})
		calls.Begin(&check.Call{Input: add(t, 2), Stream: 1})
		for i, n := range c.executed {
			apply(t, ms[0], machine.Index(5+i), add(t, n))
		}
		calls.Finish()
		v.expect(t, c.want)
	}
}

func end(calls *check.Calls, call *check.Call) {
	calls.Begin(call)
	call.Outcome = check.Answered
	calls.End(call)
}

func TestKVFindsALostWrite(t *testing.T) {
	encode := func(op kv.Op) []byte {
		b, err := op.AppendBinary(nil)
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	answer := func(r kv.Result) []byte {
		b, err := r.AppendBinary(nil)
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	call := func(at int, in, out []byte, query bool) *check.Call {
		return &check.Call{
			Input: in, Output: out, Query: query, Linearizable: query, Outcome: check.Answered,
			Began: time.Second, Ended: time.Second, // one moment: their order is told by the next
			Opened: uint64(2 * at), Closed: uint64(2*at + 1),
		}
	}
	put := call(1, encode(kv.Op{Put: &kv.Put{Key: []byte("k"), Value: []byte("v")}}), answer(kv.Result{Put: &kv.PutResult{}}), false)
	get := encode(kv.Op{Range: &kv.Range{Key: []byte("k")}})
	found := call(2, get, answer(kv.Result{Range: &kv.RangeResult{KVs: []*kv.KeyValue{{Key: []byte("k"), Value: []byte("v")}}}}), true)
	lost := call(3, get, answer(kv.Result{Range: &kv.RangeResult{}}), true)
	if v := check.KV([]*check.Call{put, found}); v.Broken != nil || v.Judged != 2 || v.Unknown != 0 || v.Draw != nil {
		t.Errorf("a good history: %+v", v)
	}
	unanswered := *put
	unanswered.Outcome, unanswered.Output, unanswered.Opened = check.Maybe, nil, 1
	v := check.KV([]*check.Call{&unanswered, put, found, lost})
	if v.Broken == nil || v.Judged != 4 || v.Draw == nil {
		t.Fatalf("a read that misses a completed write passes: %+v", v)
	}
	var page bytes.Buffer
	if err := v.Draw(&page); err != nil {
		t.Fatal(err)
	}
	for _, call := range []string{`put \"v\" → done`, `put \"v\" → ?`, `get → \"v\"`, `get → nothing`} {
		if !strings.Contains(page.String(), call) {
			t.Errorf("the picture does not show the call %s", call)
		}
	}
}

// Machines that are told of a version at one entry are right; those that are told elsewhere, twice, or not, are not.
func TestWitnessSeesUpgrades(t *testing.T) {
	told := func(w *check.Witness, ms [2]machine.StateMachine, host int, index machine.Index, to machine.Version) {
		w.Upgraded(host, index, to)
		_ = ms[host].Upgrade(to)
	}
	for _, c := range []struct {
		name string
		do   func(w *check.Witness, ms [2]machine.StateMachine)
		want string // of what is found; empty: nothing
	}{
		{"at one entry", func(w *check.Witness, ms [2]machine.StateMachine) {
			apply(t, ms[0], 2, add(t, 1))
			told(w, ms, 0, 3, 2)
			apply(t, ms[0], 4, add(t, 1))
			apply(t, ms[1], 2, add(t, 1))
			told(w, ms, 1, 3, 2)
			apply(t, ms[1], 4, add(t, 1))
		}, ""},
		{"one later", func(w *check.Witness, ms [2]machine.StateMachine) {
			told(w, ms, 0, 3, 2)
			apply(t, ms[0], 4, add(t, 1))
			apply(t, ms[1], 4, add(t, 1))
		}, "H32: host 1 executes command 4.0 as version 1"},
		{"one earlier", func(w *check.Witness, ms [2]machine.StateMachine) {
			apply(t, ms[0], 4, add(t, 1))
			told(w, ms, 1, 3, 2)
		}, "H32: host 1 raises the version to 2 at entry 3, behind which others have executed 4.0"},
		{"twice", func(w *check.Witness, ms [2]machine.StateMachine) {
			told(w, ms, 0, 3, 2)
			told(w, ms, 0, 5, 2)
		}, "H32: host 0 raises the version to 2 at entry 5"},
		{"to two versions", func(w *check.Witness, ms [2]machine.StateMachine) {
			told(w, ms, 0, 3, 2)
			told(w, ms, 1, 3, 3)
		}, "H32: host 1 raises the version to 3 at entry 3, others to 2"},
	} {
		var v verdicts
		w, ms := replay(t, &v)
		c.do(w, ms)
		if got := strings.Join(v, "; "); c.want == "" && got != "" || !strings.Contains(got, c.want) {
			t.Errorf("%s: found %q, want %q", c.name, got, c.want)
		}
	}
}
