package host

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/lockstep-rsm/lockstep/env"
	"github.com/lockstep-rsm/lockstep/internal/wire"
	"github.com/lockstep-rsm/lockstep/raft"
)

// Target is the configuration that a group is to have, made from the one at Index.
type Target struct {
	Index            raft.Index
	Voters, Learners []raft.HostID
	Settings         raft.Settings // those that a change may not touch are not looked at; SkipIndex 0: leave that as it is
	Birth            raft.Birth    // of the group that is meant; zero: whichever there is
	Prefer           bool          // Priorities are to be in force; else those that are, of hosts that stay
	Priorities       []raft.Priority
}

// RefusedError says why a change of a configuration was not begun; or, Begun, why it is refused now, though somebody whose
// answer was lost may have begun it.
type RefusedError struct {
	Reason  string
	InForce raft.Configuration
	Begun   bool
	passes  bool // what stands in the way ends by itself
}

// Error implements error.
func (e *RefusedError) Error() string {
	if e.Begun {
		return "configuration change is refused now: " + e.Reason + ": it may be done, or may yet be"
	}
	return ErrRefused.Error() + ": " + e.Reason
}

// Is makes every RefusedError of a change that was not begun an ErrRefused.
func (e *RefusedError) Is(target error) bool { return target == ErrRefused && !e.Begun }

var errSuperseded = errors.New("another change took the place of this one before it was through")

// reconfigureEvery is the pause between looks at a change that is under way.
const reconfigureEvery = 20 * time.Millisecond

func refusalText(r raft.Refusal) string {
	switch r {
	case raft.InFlight:
		return "another change is under way"
	case raft.Outdated:
		return "another configuration is in force than the one it was made from: read it, and decide again"
	case raft.NoVoters:
		return "it names no voter"
	case raft.NotHeard:
		return "a majority of the voters to be is not heard: start them first, or leave them out"
	case raft.Invalid:
		return "a host is in it twice"
	case raft.NotLeader, raft.Transferring, raft.Unsettled:
		return "nobody leads the group at the moment"
	}
	return fmt.Sprintf("refusal %d", r)
}

// Configuration is the one in force at the group's leader.
func (h *Host) Configuration(ctx context.Context, id raft.GroupID) (raft.Configuration, error) {
	until := h.patience(ctx)
	for {
		reply, err := h.askLeader(ctx, &wire.ChangeRequest{Group: id, Ask: true})
		if err == nil && reply.Settled {
			return reply.InForce, nil
		}
		if err == nil {
			err = ErrNoQuorum
		}
		if end := h.pauseUntil(ctx, until, err); end != nil {
			return raft.Configuration{}, notCommitted(end)
		}
	}
}

// Reconfigure brings a group to t, and returns what is in force once that is through. Asked anew
// about a change that is under way, it waits for that.
func (h *Host) Reconfigure(ctx context.Context, id raft.GroupID, t *Target) (raft.Configuration, error) {
	if n := len(t.Voters) + len(t.Learners); n > raft.MaxMembers {
		return raft.Configuration{}, notCommitted(&RefusedError{Reason: fmt.Sprintf("it names %d hosts, at most %d", n, raft.MaxMembers)})
	}
	members := slices.Concat(t.Voters, t.Learners)
	for _, p := range t.Priorities {
		if !slices.Contains(members, p.Host) {
			return raft.Configuration{}, notCommitted(&RefusedError{Reason: fmt.Sprintf("it gives a priority to host %d, which is not in it", p.Host)})
		}
	}
	if h.closed.Load() {
		return raft.Configuration{}, notCommitted(ErrClosed)
	}
	t.Priorities = listed(t.Priorities, members)
	until := h.patience(ctx)
	begun, meanwhile := false, ""
	for {
		done, err := h.reconfigureStep(ctx, id, t, &begun)
		var no *RefusedError
		switch {
		case done != nil:
			return *done, nil
		case errors.As(err, &no) && !begun:
			return raft.Configuration{}, notCommitted(no)
		case no != nil && !no.passes: // it says nothing of what was asked before, and will not change
			no.Begun = true
			return raft.Configuration{}, unknown(no)
		case no != nil:
			err, meanwhile = ErrNoQuorum, ": it is refused meanwhile: "+no.Reason
		case errors.Is(err, errSuperseded):
			return raft.Configuration{}, unknown(err)
		}
		if end := h.pauseUntil(ctx, until, err); end != nil {
			if begun {
				return raft.Configuration{}, unknown(fmt.Errorf("%w%s: it may be done, or may yet be", end, meanwhile))
			}
			return raft.Configuration{}, unknown(end)
		}
	}
}

// reconfigureStep looks at what is in force, and asks for the change where that is what it was made
// from. Both may be done any number of times.
func (h *Host) reconfigureStep(ctx context.Context, id raft.GroupID, t *Target, begun *bool) (*raft.Configuration, error) {
	reply, err := h.askLeader(ctx, &wire.ChangeRequest{Group: id, Ask: true})
	if err != nil {
		return nil, err
	}
	c := &reply.InForce
	switch {
	case !reply.Settled:
		return nil, ErrNoQuorum
	case t.reached(c):
		if reply.Committed {
			return c, nil
		}
		*begun = *begun || c.Index > t.Index
		return nil, nil
	case c.Index > t.Index && t.approached(c):
		*begun = true
		return nil, nil
	case c.Index != t.Index && *begun:
		return nil, errSuperseded
	}
	why, passes := h.refuseSkip(ctx, id, c, &t.Settings)
	if why == "" {
		why, passes = h.refuseVersion(ctx, id, c, t)
	}
	if why != "" && ctx.Err() != nil {
		return nil, ErrContext // who was asked had no time to answer
	} else if why != "" {
		return nil, &RefusedError{Reason: why, InForce: *c, passes: passes}
	}
	reply, err = h.askLeader(ctx, &wire.ChangeRequest{
		Group: id, After: t.Index, Voters: t.Voters, Learners: t.Learners, Settings: withSettings(c.Settings, &t.Settings), Birth: t.Birth,
		Prefer: t.Prefer, Priorities: t.Priorities,
	})
	switch why := raft.Refusal(reply.Refused); {
	case err != nil:
		*begun = true // it may have been appended: nobody's refusal says that it was not, from here on
		return nil, err
	case reply.Reason != "":
		return nil, &RefusedError{Reason: reply.Reason, InForce: reply.InForce}
	case why == raft.NotLeader, why == raft.Transferring, why == raft.Unsettled:
		return nil, ErrNoQuorum
	case why != raft.Appended:
		return nil, &RefusedError{
			Reason: refusalText(why), InForce: reply.InForce, passes: why == raft.InFlight || why == raft.Outdated || why == raft.NotHeard,
		}
	}
	*begun = true
	return nil, nil
}

// reached says whether c is what was asked for.
func (t *Target) reached(c *raft.Configuration) bool {
	return !c.Joint() && len(c.Next) == 0 && sameHosts(c.Voters, t.Voters) && sameHosts(c.Learners, t.Learners) && t.sameSettings(c)
}

// approached says whether c is on the way there.
func (t *Target) approached(c *raft.Configuration) bool {
	return t.sameSettings(c) && (len(c.Next) > 0 && sameHosts(c.Next, t.Voters) || c.Joint() && sameHosts(c.Voters, t.Voters))
}

func (t *Target) sameSettings(c *raft.Configuration) bool {
	return c.Settings == withSettings(c.Settings, &t.Settings) &&
		(!t.Prefer || slices.Equal(c.Priorities, t.Priorities))
}

// listed orders those priorities of some hosts that are not the default.
func listed(all []raft.Priority, of []raft.HostID) (kept []raft.Priority) {
	for _, p := range all {
		if p.Value != raft.DefaultPriority && slices.Contains(of, p.Host) {
			kept = append(kept, p)
		}
	}
	slices.SortFunc(kept, func(a, b raft.Priority) int { return cmp.Compare(a.Host, b.Host) })
	return kept
}

func sameHosts(members []raft.Member, hosts []raft.HostID) bool {
	return slices.Equal(hostsOf(members), slices.Sorted(slices.Values(hosts)))
}

// pauseUntil waits a moment. The error, if the time is over, says why it was waited.
func (h *Host) pauseUntil(ctx context.Context, until time.Duration, why error) error {
	if why == nil {
		why = ErrNoQuorum
	}
	if h.closed.Load() {
		return ErrClosed
	}
	if until != 0 && h.env.Clock().Now() >= until {
		var no *RefusedError
		if errors.Is(why, ErrNoQuorum) || errors.As(why, &no) {
			return why
		}
		return fmt.Errorf("%w: %w", ErrNoQuorum, why)
	}
	if err := h.pause(ctx, reconfigureEvery); err != nil {
		return err
	}
	return nil
}

// askLeader brings a question or a change to whoever leads the group, wherever it is.
func (h *Host) askLeader(ctx context.Context, req *wire.ChangeRequest) (wire.ChangeReply, error) {
	req.Cluster = h.Cluster()
	var last error = ErrNoQuorum
	asked := make(map[raft.HostID]bool)
	self := h.ID()
	queue := []raft.HostID{self}
	for _, m := range h.members() {
		queue = append(queue, m.Host)
	}
	for len(queue) > 0 {
		to := queue[0]
		queue = queue[1:]
		if asked[to] {
			continue
		}
		asked[to] = true
		reply, err := h.askHost(ctx, to, req)
		switch {
		case err != nil && !req.Ask:
			return wire.ChangeReply{}, err // it may have been heard: the next one would refuse what is under way
		case err != nil:
			last = err
		case reply.State == wire.ChangeLeads:
			return reply, nil
		case reply.State == wire.ChangeFollows && reply.Leader != 0:
			queue = append([]raft.HostID{reply.Leader}, queue...)
		}
		if ctx.Err() != nil || h.closed.Load() {
			break
		}
	}
	return wire.ChangeReply{}, last
}

func (h *Host) askHost(ctx context.Context, to raft.HostID, req *wire.ChangeRequest) (wire.ChangeReply, error) {
	if to == h.ID() {
		return h.answerChange(req), nil
	}
	addr, net := h.address(to), h.net.Load()
	if addr == "" || net == nil {
		return wire.ChangeReply{}, fmt.Errorf("host %d is not known here", to)
	}
	p, err := net.Call(ctx, addr, wire.AppendChangeRequest(nil, req))
	if err != nil {
		if errors.Is(err, env.ErrContext) {
			err = ErrContext
		}
		return wire.ChangeReply{}, err
	}
	return wire.DecodeChangeReply(p)
}

// answerChange is the other side, on any host.
func (h *Host) answerChange(req *wire.ChangeRequest) wire.ChangeReply {
	g := h.Replica(req.Group)
	if req.Ask && req.Settings.Machine != "" && h.isFounded() && req.Cluster == h.Cluster() {
		if why := h.mayRun(&req.Settings); why != "" {
			return wire.ChangeReply{State: wire.ChangeUnknown, Reason: why}
		}
	}
	if h.isFounded() && req.Cluster == h.Cluster() && h.isGone(replicaName{req.Group, req.Birth}) {
		return wire.ChangeReply{State: wire.ChangeGone, Birth: req.Birth}
	}
	if !h.isFounded() || req.Cluster != h.Cluster() || g == nil {
		return wire.ChangeReply{State: wire.ChangeUnknown}
	}
	a := &changing{w: h.env.NewWaiter(), req: req}
	h.post(event{kind: evDo, fn: func() { g.change(a) }})
	for !a.isDone() {
		if err := a.w.Wait(nil, h.env.Clock().Now()+h.opts.ElectionTimeout); err != nil && h.closed.Load() { //nolint:staticcheck // the turn answers
			return wire.ChangeReply{State: wire.ChangeUnknown}
		}
	}
	return a.reply
}
