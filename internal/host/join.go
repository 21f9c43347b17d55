package host

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/lockstep-rsm/lockstep/internal/wire"
	"github.com/lockstep-rsm/lockstep/machine"
	"github.com/lockstep-rsm/lockstep/raft"
	"github.com/lockstep-rsm/lockstep/raft/digest"
)

// A host joins a running cluster with a token (docs/decisions/0015-membership.md): it binds itself to
// that cluster, is registered in group 0 under an id of its own, and learns, as a member of group 0,
// what else there is. It belongs to other groups only when their configurations name it.

// maxTokenTime is the longest that a token may wait.
const maxTokenTime = 24 * time.Hour

// Token lets one more host join within d.
func (h *Host) Token(ctx context.Context, d time.Duration) (string, error) {
	if d <= 0 || d > maxTokenTime {
		return "", notCommitted(fmt.Errorf("%w: a token's time is above zero and at most 24h", ErrOptions))
	}
	if h.opts.Addr == "" {
		return "", notCommitted(fmt.Errorf("%w: nobody can join a host without Options.Addr", ErrOptions))
	}
	if err := h.awaitReplica(ctx, systemGroup); err != nil {
		return "", err
	}
	t := wire.Token{Cluster: h.Cluster()}
	h.env.Rand().Fill(t.Secret[:])
	for _, m := range h.members() {
		t.Addrs = append(t.Addrs, m.Addr)
	}
	_, err := h.register(ctx, h.patience(ctx), registryCommand{Issue: &issueCommand{Secret: secretOf(t.Secret), For: machine.Time(d), Founders: h.founders()}})
	if err != nil {
		return "", err
	}
	return wire.EncodeToken(&t), nil
}

// founders are the mint's hosts, as the registry has them.
func (h *Host) founders() (records []hostRecord) {
	for _, m := range h.identity.is.Mint.Hosts {
		records = append(records, hostRecord{ID: m.Host, Addr: m.Addr, Incarnation: m.Incarnation})
	}
	return records
}

// answerJoin takes in whoever knows the secret of a token, and the feature level of the cluster's own group.
func (h *Host) answerJoin(from *wire.Hello, req *wire.JoinRequest) wire.JoinReply {
	refuse := func(err error) wire.JoinReply { return wire.JoinReply{State: wire.StateRefused, Reason: err.Error()} }
	later := func(err error) wire.JoinReply { return wire.JoinReply{State: stateEmpty, Reason: err.Error()} }
	switch {
	case !h.isFounded():
		return later(errors.New("this host belongs to no cluster yet"))
	case req.Cluster != h.Cluster():
		return refuse(fmt.Errorf("this is cluster %x, the token is of cluster %x", h.Cluster(), req.Cluster))
	}
	system := h.Replica(systemGroup)
	if system == nil {
		return later(errors.New("this host has no part in group 0 yet"))
	}
	if level := system.conf.Load().Settings.FeatureLevel; from.FeatureLevel < level {
		return refuse(fmt.Errorf("the cluster is at feature level %d, and the build that is to join knows %d. Start the newer build with the same token", level, from.FeatureLevel))
	}
	joined, err := h.vet(req)
	if err == nil && joined == nil {
		var reply registryReply
		reply, err = h.registerOnce(registryCommand{Join: &joinCommand{
			Secret: secretOf(req.Secret), Addr: req.Addr, Incarnation: req.Incarnation,
		}})
		joined = reply.Joined
	}
	var no *machine.Refusal
	switch {
	case errors.As(err, &no):
		return refuse(no)
	case err != nil:
		return later(err)
	case joined == nil:
		return later(errors.New("registry did not answer"))
	}
	host := joined.ID
	if err := h.include(host); err != nil {
		return later(fmt.Errorf("host %d is registered, and not in group 0 yet: %w", host, err))
	}
	is := &h.identity.is
	return wire.JoinReply{State: stateFounded, Host: host, Epoch: is.Epoch, Mint: is.Mint, Peers: h.members()}
}

// registerOnce runs a command on the registry, if group 0 answers.
func (h *Host) registerOnce(c registryCommand) (registryReply, error) {
	cmd, err := registryKind.EncodeCommand(c)
	if err != nil {
		return registryReply{}, err
	}
	r, err := h.Propose(context.Background(), systemGroup, cmd)
	if err != nil {
		return registryReply{}, err
	}
	return registryKind.DecodeReply(r.Data)
}

// systemVoters is how many hosts vote in group 0 without being asked to: whoever joins does, until
// there are so many.
const systemVoters = 7

// include makes a registered host a member of group 0. It is left to the leader to promote it.
func (h *Host) include(host raft.HostID) error {
	reply, err := h.askLeader(context.Background(), &wire.ChangeRequest{Group: systemGroup, Ask: true})
	if err != nil {
		return err
	}
	c := &reply.InForce
	voters, learners := votersToBe(c), learnersOnly(c)
	if slices.Contains(voters, host) || slices.Contains(learners, host) {
		return nil
	}
	if len(voters) < systemVoters {
		voters = append(voters, host)
	} else {
		learners = append(learners, host)
	}
	return h.beginChange(c, voters, learners)
}

// beginChange asks group 0's leader once for other members than those of c.
func (h *Host) beginChange(c *raft.Configuration, voters, learners []raft.HostID) error {
	reply, err := h.askLeader(context.Background(), &wire.ChangeRequest{
		Group: systemGroup, After: c.Index, Voters: voters, Learners: learners,
		Settings: c.Settings,
	})
	switch {
	case err != nil:
		return err
	case reply.Reason != "":
		return errors.New(reply.Reason)
	case reply.Refused != 0:
		return errors.New(refusalText(raft.Refusal(reply.Refused)))
	}
	return nil
}

// votersToBe are the hosts that vote once the change under way is through.
func votersToBe(c *raft.Configuration) []raft.HostID {
	if len(c.Next) > 0 {
		return hostsOf(c.Next)
	}
	return hostsOf(c.Voters)
}

// learnersOnly are those that are not to vote once it is.
func learnersOnly(c *raft.Configuration) []raft.HostID {
	voters := votersToBe(c)
	return slices.DeleteFunc(hostsOf(c.Learners), func(id raft.HostID) bool { return slices.Contains(voters, id) })
}

// join asks the cluster of the token until it has taken this host in.
func (h *Host) join(t *wire.Token) {
	pause := foundingEvery
	for !h.closed.Load() && !h.isFounded() {
		if err := h.joinRound(t); err != nil {
			h.setWhy(err.Error())
		}
		w := h.env.NewWaiter()
		h.watch(w)
		if h.isFounded() {
			return
		}
		_ = w.Wait(nil, h.env.Clock().Now()+pause) //nolint:staticcheck // a pause
		pause = min(2*pause, foundingSlow)
	}
}

// joinRound asks each host that the token names, until one takes this host in.
func (h *Host) joinRound(t *wire.Token) error {
	is, err := h.bindTo(t)
	if err != nil {
		return err
	}
	req := wire.JoinRequest{Cluster: t.Cluster, Secret: t.Secret, Addr: h.opts.Addr, Incarnation: is.Incarnation}
	p := wire.AppendJoinRequest(nil, &req)
	why := errors.New("token names no host to ask")
	for _, addr := range t.Addrs {
		answer, err := h.net.Load().Call(context.Background(), addr, p)
		if err != nil {
			why = fmt.Errorf("host %s does not answer: %w", addr, err)
			continue
		}
		reply, err := wire.DecodeJoinReply(answer)
		switch {
		case err != nil:
			why = fmt.Errorf("host %s: %w", addr, err)
		case reply.State == wire.StateFounded:
			return h.adoptJoined(&reply)
		case reply.State == wire.StateRefused:
			return fmt.Errorf("host %s refuses: %s", addr, reply.Reason)
		default:
			why = fmt.Errorf("host %s cannot take this one in yet: %s", addr, reply.Reason)
		}
	}
	return why
}

// bindTo binds this directory to the token's cluster, durably, before anybody hears of it: asked by
// the founders of another, or given another token, it belongs to this one.
func (h *Host) bindTo(t *wire.Token) (wire.HostIdentity, error) {
	h.foundGate.enter(h.env)
	defer h.foundGate.leave()
	is := h.identity.is
	nonce := joiningNonce(t.Cluster)
	switch {
	case is.State == stateBound && is.Nonce == nonce:
		return is, nil
	case is.State != stateEmpty:
		return is, fmt.Errorf("%w: %s is bound to another cluster, which may have taken it in: join with an empty directory", ErrDir, h.opts.Dir)
	}
	is.State, is.Nonce = stateBound, nonce
	return is, h.saveIdentity(is)
}

func joiningNonce(cluster [16]byte) uint64 { return digest.Sum(cluster[:]) | 1 }

// adoptJoined makes this host what the cluster says, durably, and begins to serve.
func (h *Host) adoptJoined(r *wire.JoinReply) error {
	h.foundGate.enter(h.env)
	defer h.foundGate.leave()
	is := h.identity.is
	if is.State == stateFounded {
		return nil
	}
	if !slices.ContainsFunc(r.Peers, func(m wire.FoundingHost) bool { return m.Host == r.Host }) {
		return fmt.Errorf("this host was taken in as %d, and is not among the hosts that it was told: it asks again", r.Host)
	}
	is.State, is.Host, is.Epoch, is.Mint, is.Peers = stateFounded, r.Host, r.Epoch, r.Mint, r.Peers
	if err := h.saveIdentity(is); err != nil {
		return err
	}
	h.log.Info("joined", "host", is.Host, "cluster", fmt.Sprintf("%x", is.Mint.Cluster), "hosts", len(r.Peers))
	if err := h.serve(); err != nil {
		return err
	}
	h.connect()
	return nil
}

// Remove takes a host out of every group, then out of the cluster, then out of group 0. It may be
// called again, until it returns nil.
func (h *Host) Remove(ctx context.Context, id raft.HostID) error {
	if err := h.awaitReplica(ctx, systemGroup); err != nil {
		return err
	}
	if id == h.ID() {
		return notCommitted(fmt.Errorf("%w: another host has to remove this one", ErrOptions))
	}
	left := make(map[raft.GroupID]bool)
	if err := h.leaveGroups(ctx, id, left); err != nil {
		return err
	}
	// Group 0 before the registry: once that says so, nobody hears the host any more, and its vote may be
	// one that the majority needs. And again behind it: until then a host that asks is taken back.
	if err := h.leave(ctx, systemGroup, id); err != nil {
		return fmt.Errorf("take host %d out of group 0: %w", id, err)
	}
	if _, err := h.register(ctx, h.patience(ctx), registryCommand{Remove: &removeCommand{Host: id, Founders: h.founders()}}); err != nil {
		return err
	}
	if err := h.leave(ctx, systemGroup, id); err != nil {
		return fmt.Errorf("take host %d out of group 0: %w", id, err)
	}
	if err := h.leaveGroups(ctx, id, left); err != nil { // those that were created meanwhile
		return err
	}
	if err := h.fillSystem(ctx); err != nil {
		h.log.Warn("no other host votes in group 0 instead", "removed", id, "err", err, "do", "nothing, or have one vote: reconfigure group 0")
	}
	return nil
}

// leaveGroups takes a host out of all groups that are known here, but those that it has left.
func (h *Host) leaveGroups(ctx context.Context, id raft.HostID, left map[raft.GroupID]bool) error {
	for _, group := range h.knownGroups() {
		if left[group] {
			continue
		}
		if err := h.leave(ctx, group, id); err != nil {
			return fmt.Errorf("take host %d out of group %d: %w", id, group, err)
		}
		left[group] = true
	}
	return nil
}

// fillSystem lets another host vote in group 0 in place of one that has left, if there is one that
// only learns, and speaks: a silent one would stay a voter to be.
func (h *Host) fillSystem(ctx context.Context) error {
	c, err := h.Configuration(ctx, systemGroup)
	if err != nil {
		return err
	}
	voters := votersToBe(&c)
	linked := h.linkedHosts(learnersOnly(&c))
	if len(voters) >= systemVoters || len(linked) == 0 {
		return nil
	}
	learners := slices.DeleteFunc(learnersOnly(&c), func(id raft.HostID) bool { return id == linked[0] })
	return h.beginChange(&c, append(voters, linked[0]), learners)
}

// leave takes a host out of one group. Each group has its time.
func (h *Host) leave(ctx context.Context, group raft.GroupID, id raft.HostID) error {
	for until := h.patience(ctx); ; {
		if _, ok := h.liveName(group); !ok && group != systemGroup {
			return nil // it was destroyed
		}
		c, err := h.Configuration(ctx, group)
		if err != nil {
			return err
		}
		is := func(host raft.HostID) bool { return host == id }
		voters, learners := votersToBe(&c), learnersOnly(&c)
		if !slices.ContainsFunc(voters, is) && !slices.ContainsFunc(learners, is) && !c.Joint() && len(c.Next) == 0 {
			return nil
		}
		voters, learners = slices.DeleteFunc(voters, is), slices.DeleteFunc(learners, is)
		_, err = h.Reconfigure(ctx, group, &Target{
			Index: c.Index, Voters: voters, Learners: learners,
			Settings: c.Settings,
		})
		var no *RefusedError
		if err == nil || !errors.As(err, &no) || !no.passes {
			return err
		}
		if end := h.pauseUntil(ctx, until, no); end != nil {
			return notCommitted(end)
		}
	}
}
