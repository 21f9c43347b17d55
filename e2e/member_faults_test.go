package e2e

import (
	"bytes"
	"context"
	"fmt"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Changes of members, each while another fault goes on.

// mostReplicas and leastReplicas bound how many there are between two faults.
const (
	leastReplicas = 3
	mostReplicas  = 5
)

// meanwhile are the faults that go on while members change: a majority is left, and it hears itself.
var meanwhile = []string{"minority cut off", "minority cut off by resets", "leader cut off", "leader is not heard", "link down", "link down one way", "leader's port for hosts", "leader stopped", "minority stopped"}

// while begins one of them.
func (s *siege) while() (what string, end func()) {
	name := meanwhile[s.rng.IntN(len(meanwhile))]
	i := slices.IndexFunc(kinds, func(k kind) bool { return k.name == name })
	what, end = kinds[i].begin(s)
	s.last += fmt.Sprintf(" while %s (%s)", name, what)
	return "while " + name + " (" + what + ")", end
}

// changes is how long a change of members may take, from when the fault that went on is over.
const changes = 30 * time.Second

// come lets another host join.
func come(s *siege) (string, func()) {
	if len(s.c.replicas) >= mostReplicas {
		return leave(s)
	}
	what, end := s.while()
	r := s.joins("add")
	return "host " + r.name + " joins " + what, func() {
		end()
		s.voting(append(slices.Clone(s.c.replicas), r))
	}
}

// leave takes a host out, which goes on for a while.
func leave(s *siege) (string, func()) {
	if len(s.c.replicas) <= leastReplicas {
		return come(s)
	}
	victim := s.any()
	id := s.id(victim)
	what, end := s.while()
	rest := s.c.others(victim)
	return "host " + victim.name + " is removed " + what, func() {
		end()
		s.member(rest, "remove", id, "--yes")
		s.voting(rest)
		victim.kill(s.t)
	}
}

// takeOver kills a host for good, and another one joins in its place.
func takeOver(s *siege) (string, func()) {
	victim := s.any()
	id := s.id(victim)
	victim.kill(s.t)
	rest := s.c.others(victim)
	s.c.replicas = rest
	s.callers.serve(rest)
	what, end := "", func() {}
	if len(rest) > leastReplicas { // else none of the rest may fail
		what, end = s.while()
	}
	r := s.joins("replace", id)
	return "host " + r.name + " replaces " + victim.name + " " + what, func() {
		end()
		s.voting(append(slices.Clone(rest), r))
	}
}

// joins starts a replica with a token, in a place of its own.
func (s *siege) joins(command ...string) *replica {
	lines := strings.Fields(s.member(s.c.replicas, append(command, "--yes")...))
	token := lines[len(lines)-1]
	r := replicaAt(s.t, s.net.add(), strconv.Itoa(s.next), append([]string{"--join", token}, small...)...)
	s.next++
	s.t.Cleanup((&trio{t: s.t, replicas: []*replica{r}}).stop)
	r.start(s.t)
	return r
}

// voting waits until these are the cluster, and no others.
func (s *siege) voting(list []*replica) {
	s.t.Helper()
	c := &trio{t: s.t, replicas: list}
	within(s.t, changes, "have "+names(list)+" vote, and no others", func(ctx context.Context) error { return votes(ctx, c, len(list)) })
	s.c.replicas = list
	s.callers.serve(list)
}

// id is the replica's number of the cluster.
func (s *siege) id(r *replica) string {
	var id uint64
	within(s.t, healed, "tell the id of "+r.name, func(ctx context.Context) error {
		at, err := r.report(ctx)
		if err != nil {
			return err
		}
		if id = at.ID; id == 0 {
			return fmt.Errorf("it has none yet")
		}
		return nil
	})
	return strconv.FormatUint(id, 10)
}

// member runs lockstep member from outside, until it succeeds. A server that is alive, and cut off from the
// majority, keeps a command for all its time: each try asks another one first.
func (s *siege) member(ask []*replica, args ...string) string {
	s.t.Helper()
	var out bytes.Buffer
	endpoints, tries := (&trio{replicas: ask}).endpoints(), 0
	within(s.t, changes, "run member "+args[0], func(ctx context.Context) error {
		ctx, cancel := context.WithTimeout(ctx, 8*time.Second)
		defer cancel()
		first := tries % len(endpoints)
		tries++
		turned := strings.Join(slices.Concat(endpoints[first:], endpoints[:first]), ",")
		return s.outside.do(func() error {
			out.Reset()
			var said bytes.Buffer
			cmd := exec.CommandContext(ctx, program(s.t), append(append([]string{"member"}, args...), "--endpoints", turned, "--timeout", "3s")...)
			cmd.Stdout, cmd.Stderr, cmd.Env = &out, &said, environment()
			if err := cmd.Run(); err != nil {
				return fmt.Errorf("%w: %s", err, said.String())
			}
			return nil
		})
	})
	return out.String()
}
