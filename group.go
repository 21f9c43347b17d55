package lockstep

import (
	"context"
	"fmt"
	"maps"
	"math"
	"slices"

	"github.com/lockstep-rsm/lockstep/internal/host"
	"github.com/lockstep-rsm/lockstep/machine"
	"github.com/lockstep-rsm/lockstep/raft"
)

// Group is one replicated log and its machine, seen from one host. Calls find the leader: there is
// no "not leader" error.
type Group struct {
	h  *host.Host
	id GroupID
}

// Result is a command's, or a read's: (Index, Ordinal) orders all commands of the group.
type Result struct {
	Index   Index
	Ordinal uint32
	Data    []byte
}

// ID of the group.
func (g *Group) ID() GroupID { return g.id }

// refuse is the error of every call on group 0: what a user did there, the registry would take for
// its own.
func (g *Group) refuse(op string) error {
	if g.id != 0 {
		return nil
	}
	return &Error{Op: op, Outcome: NotCommitted, Err: fmt.Errorf("%w: %s", ErrOptions, reservedGroup)}
}

const reservedGroup = "group ids begin at 1: group 0 is the engine's own"

// Propose sends cmd once and returns the machine's reply, or what is known: see OutcomeOf. A
// refusal is a *machine.Refusal, and has its place in the log as an error that is Committed has. When it returns a reply, cmd is on the disks of a majority and
// executed here. Errors: ErrBusy, ErrTooLarge, ErrNoSpace, ErrHalted, ErrSkipped, ErrNoQuorum,
// ErrQuarantined, ErrNoReplica, ErrNoGroup, ErrClosed, the end of ctx.
func (g *Group) Propose(ctx context.Context, cmd []byte) (Result, error) {
	if err := g.refuse("Propose"); err != nil {
		return Result{}, err
	}
	r, err := g.h.Propose(ctx, raft.GroupID(g.id), cmd)
	return result(r), fault("Propose", g.id, err)
}

func result(r host.Result) Result {
	return Result{Index: Index(r.Index), Ordinal: r.Ordinal, Data: r.Data}
}

// Start is Propose, pipelined: it never waits. An error means that the command never began; nil
// that call completes exactly once, with OnDone or a return of Wait. Commands of one goroutine that
// commit keep its order. Errors: as of Propose, those that are known at once.
func (g *Group) Start(cmd []byte, call *Call) error {
	if err := g.refuse("Start"); err != nil {
		return err
	}
	// A new one each time: the log may still bring the result of a command whose call ended before.
	call.group, call.inner = g, &host.Call{Owner: call}
	if call.OnDone != nil {
		call.inner.OnDone = callDone
	}
	if err := g.h.Start(raft.GroupID(g.id), cmd, call.inner); err != nil {
		return fault("Start", g.id, err)
	}
	return nil
}

// Call is one pipelined proposal. The zero value is ready; it may be used again once it is done.
type Call struct {
	OnDone func(*Call) // runs on the engine's turn when the call is done: hand over, do not block. nil: use Wait
	Tag    any         // yours

	group *Group
	inner *host.Call
}

func callDone(c *host.Call) {
	outer := c.Owner.(*Call)
	outer.OnDone(outer)
}

// Wait waits for the call's result; the end of ctx ends the call with what is known of it. After
// OnDone it returns at once.
func (c *Call) Wait(ctx context.Context) (Result, error) {
	c.group.h.Await(ctx, c.inner)
	return result(c.inner.Result), fault("Start", c.group.id, c.inner.Err)
}

// Read answers query at the level of opts, from the replica on this host. Its Result.Index is the log index that the
// answer is of. The machine's "no" is a *machine.Refusal. Errors, all of them NotCommitted: ErrNoQuorum, ErrBehind,
// ErrStale, ErrRecovering, ErrHalted where no majority has one state, ErrBusy, ErrQuarantined, ErrNoReplica, ErrNoGroup,
// ErrOptions, ErrClosed, the end of ctx.
func (g *Group) Read(ctx context.Context, query []byte, opts ReadOptions) (Result, error) {
	if err := g.refuse("Read"); err != nil {
		return Result{}, err
	}
	data, index, err := g.h.Read(ctx, raft.GroupID(g.id), query, readOptions(opts))
	return Result{Index: Index(index), Data: data}, queryFault("Read", g.id, err)
}

// View is Read without bytes: your machine's own View, pinned at an index. Close it. Errors: as of Read.
func (g *Group) View(ctx context.Context, opts ReadOptions) (machine.View, Index, error) {
	if err := g.refuse("View"); err != nil {
		return nil, 0, err
	}
	v, index, err := g.h.View(ctx, raft.GroupID(g.id), readOptions(opts))
	return v, Index(index), queryFault("View", g.id, err)
}

func readOptions(o ReadOptions) host.ReadOptions {
	return host.ReadOptions{Level: host.Level(o.Level), After: raft.Index(o.After), MaxAge: o.MaxAge}
}

// Wait waits, for ctx alone, until more than after is applied here, and says how much is. A watch is
// a loop of Wait and View at AtLeast. Errors, all of them NotCommitted: ErrQuarantined, ErrNoReplica, ErrNoGroup, ErrClosed,
// the end of ctx.
func (g *Group) Wait(ctx context.Context, after Index) (Index, error) {
	if err := g.refuse("Wait"); err != nil {
		return 0, err
	}
	index, err := g.h.Wait(ctx, raft.GroupID(g.id), raft.Index(after))
	return Index(index), nothingSent(faultOfWait("Wait", g.id, err))
}

// Snapshot seals one at the next mark, and returns its index when a majority of voters agrees with it. One that was asked
// for comes about though ctx ends. Errors: ErrNoQuorum, ErrQuarantined, ErrNoReplica, ErrNoGroup, ErrClosed, the end of ctx.
func (g *Group) Snapshot(ctx context.Context) (Index, error) {
	if err := g.refuse("Snapshot"); err != nil {
		return 0, err
	}
	index, err := g.h.Snapshot(ctx, raft.GroupID(g.id))
	return Index(index), fault("Snapshot", g.id, err)
}

// TransferLeader has the leader, wherever it is, hand over to the host to, and returns when that leads; 0: to
// the best placed voter. Proposals wait meanwhile, each time for at most an election timeout; none is lost or
// done twice. Where priorities are set, they soon have their way again. Errors: ErrOptions where to is no
// voter, ErrNoQuorum, the end of ctx, ErrClosed.
func (g *Group) TransferLeader(ctx context.Context, to HostID) error {
	if err := g.refuse("TransferLeader"); err != nil {
		return err
	}
	return fault("TransferLeader", g.id, g.h.TransferLeader(ctx, raft.GroupID(g.id), raft.HostID(to)))
}

// Configuration is the one in force at the group's leader, wherever that is. Errors: ErrNoQuorum, the
// end of ctx, ErrClosed. Group 0, the engine's own, may be asked too.
func (g *Group) Configuration(ctx context.Context) (Configuration, error) {
	c, err := g.h.Configuration(ctx, raft.GroupID(g.id))
	if err != nil {
		return Configuration{}, fault("Configuration", g.id, err)
	}
	return configuration(&c), nil
}

// Reconfigure brings the group to other voters, learners or settings: read the Configuration, edit it,
// hand it back. It is a compare-and-set on next.Index, asked of any host. New voters learn first, and
// vote when they follow closely; Reconfigure returns what is in force when the change is through. The
// change goes on by itself when ctx ends before that (Outcome Unknown), and asked for again it is waited
// for. A *RefusedError says that no change was begun, and why; where Begun, that it is refused now, but may have been
// begun. What a start or an answer of another host may end is waited for until CallTimeout.
//
// A leader hands over to a voter of higher priority that keeps up, once it has for some seconds; one that
// does not take over, or does not last, is asked less and less often. A voter of priority 0 campaigns only
// where no other does: if none but such voters live, they lead.
func (g *Group) Reconfigure(ctx context.Context, next Configuration) (Configuration, error) {
	if err := g.refuse("Reconfigure"); err != nil {
		return Configuration{}, err
	}
	priorities, err := prioritiesOf(next.Priorities)
	if err != nil {
		return Configuration{}, fault("Reconfigure", g.id, err)
	}
	c, err := g.h.Reconfigure(ctx, raft.GroupID(g.id), &host.Target{
		Index: raft.Index(next.Index), Voters: hostIDs(next.Voters), Learners: hostIDs(next.Learners),
		Settings: next.Settings.replicated(), Prefer: next.Priorities != nil, Priorities: priorities,
	})
	if err != nil {
		return Configuration{}, fault("Reconfigure", g.id, err)
	}
	return configuration(&c), nil
}

func hostIDs(ids []HostID) []raft.HostID {
	out := make([]raft.HostID, len(ids))
	for i, id := range ids {
		out[i] = raft.HostID(id)
	}
	return out
}

func configuration(c *raft.Configuration) Configuration {
	return Configuration{
		Index: Index(c.Index), Voters: hostsOf(c.Voters), Learners: hostsOf(c.Learners),
		Next: hostsOf(c.Next), Outgoing: hostsOf(c.Outgoing),
		Settings: settings(&c.Settings), Priorities: priorities(c.Priorities),
	}
}

func priorities(list []raft.Priority) map[HostID]int {
	if len(list) == 0 {
		return nil
	}
	of := make(map[HostID]int, len(list))
	for _, p := range list {
		of[HostID(p.Host)] = int(p.Value)
	}
	return of
}

// prioritiesOf is the twin of priorities.
func prioritiesOf(of map[HostID]int) (list []raft.Priority, err error) {
	for _, id := range slices.Sorted(maps.Keys(of)) {
		value := of[id]
		if value < 0 || value > math.MaxUint8 {
			return nil, &host.RefusedError{Reason: fmt.Sprintf("the priority of host %d is %d: it is 0 to 255", id, value)}
		}
		list = append(list, raft.Priority{Host: raft.HostID(id), Value: uint8(value)})
	}
	return list, nil
}

func hostsOf(members []raft.Member) (hosts []HostID) {
	for _, m := range members {
		hosts = append(hosts, HostID(m.Host))
	}
	return hosts
}
