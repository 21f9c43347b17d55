package server

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/lockstep-rsm/lockstep"
	"github.com/lockstep-rsm/lockstep/env"
	"github.com/lockstep-rsm/lockstep/server/admin"
	"github.com/lockstep-rsm/lockstep/server/etcdapi"
)

// vote makes a host that has just joined a voter of the group of keys, unless somebody has said already
// what it is to be there. A change that is under way is waited for.
func (s *Server) vote() error {
	if s.o.Host.Join == "" {
		return nil
	}
	pause := s.env.NewWaiter()
	for s.host.ID() == 0 { // Status.Why says what is waited for
		if err := pause.Wait(s.ctx, s.env.Clock().Now()+100*time.Millisecond); err != nil && err != env.ErrTimeout {
			return err
		}
	}
	conf, err := s.group.Configuration(s.ctx)
	if err != nil {
		return err
	}
	id := s.host.ID()
	if slices.Contains(slices.Concat(conf.Voters, conf.Learners, conf.Outgoing), id) {
		return nil
	}
	if !slices.ContainsFunc(s.host.Peers(), func(p lockstep.Peer) bool { return p.ID == id }) {
		return nil // it was removed
	}
	if len(conf.Next) > 0 { // the change under way, of another one that joins perhaps, is not taken back by this one
		conf.Learners = slices.DeleteFunc(conf.Learners, func(l lockstep.HostID) bool { return slices.Contains(conf.Next, l) })
		conf.Voters, conf.Next = conf.Next, nil
	}
	conf.Voters = append(conf.Voters, id)
	_, err = s.group.Reconfigure(s.ctx, conf)
	return err
}

// removeMember takes a host out of the cluster.
func (s *Server) removeMember(ctx context.Context, id uint64) error {
	if !slices.ContainsFunc(s.host.Peers(), func(p lockstep.Peer) bool { return uint64(p.ID) == id }) {
		return etcdapi.ErrNoMember
	}
	return s.host.Remove(ctx, lockstep.HostID(id))
}

// promoteMember makes a learner a voter.
func (s *Server) promoteMember(ctx context.Context, id uint64) error {
	conf, err := s.group.Configuration(ctx)
	if err != nil {
		return err
	}
	host := lockstep.HostID(id)
	switch {
	case slices.Contains(conf.Voters, host):
		return etcdapi.ErrNotLearner
	case slices.Contains(conf.Next, host): // it is under way
		conf.Voters = conf.Next
	case slices.Contains(conf.Learners, host):
		conf.Voters = append(conf.Voters, host)
	default:
		return etcdapi.ErrNoMember
	}
	conf.Learners = slices.DeleteFunc(conf.Learners, func(l lockstep.HostID) bool { return slices.Contains(conf.Voters, l) })
	_, err = s.group.Reconfigure(ctx, conf)
	return err
}

// decide does what an operator decides about the group of keys, through its log.
func (s *Server) decide(ctx context.Context, d admin.Decision) error {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	conf, err := s.group.Configuration(ctx)
	if err != nil {
		return err
	}
	switch d.Verb {
	case "skip":
		conf.Settings.Skip = d.Skip
	case "priority":
		priorities := map[lockstep.HostID]int{d.Host: d.Priority}
		for id, n := range conf.Priorities {
			if id != d.Host {
				priorities[id] = n
			}
		}
		conf.Priorities = priorities
	default:
		conf.Settings.Halt = d.Verb == "halt"
	}
	if len(conf.Next) > 0 { // a change of members that is under way is not taken back
		conf.Learners = slices.DeleteFunc(conf.Learners, func(l lockstep.HostID) bool { return slices.Contains(conf.Next, l) })
		conf.Voters, conf.Next = conf.Next, nil
	}
	_, err = s.group.Reconfigure(ctx, conf)
	return err
}

// token lets one more host join.
func (s *Server) token(ctx context.Context, d time.Duration) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	t, err := s.host.Token(ctx, d)
	if err != nil {
		return "", fmt.Errorf("make a token: %w", err)
	}
	return t, nil
}
