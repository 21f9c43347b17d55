package cli

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/lockstep-rsm/lockstep/server/admin"
)

func (p *Program) group() *cobra.Command {
	return p.parent("group", "What an operator decides about the group of keys", p.groupHalt(), p.groupResume(), p.groupSkip())
}

func (p *Program) groupHalt() *cobra.Command {
	f := &change{}
	return p.changing(&cobra.Command{
		Use: "halt", Short: "Stop its writes, through its log; reads go on", Args: exactly(0),
		RunE: func(c *cobra.Command, _ []string) error {
			if now := p.leaderNow(c.Context()); now != nil && now.State == "halted" {
				_, err := fmt.Fprintf(p.Out, "writes are stopped already: %s\n", now.Why)
				return err
			}
			plan := "The group of keys refuses every write from now on, on all hosts, until lockstep group resume. Reads go on."
			if goOn, err := p.agreed(c, f, plan); !goOn {
				return err
			}
			return p.decide(c.Context(), "/group/halt", "writes are stopped")
		},
	}, f)
}

func (p *Program) groupResume() *cobra.Command {
	f := &change{}
	return p.changing(&cobra.Command{
		Use: "resume", Short: "Let it go on after a halt, an operator's or its own", Args: exactly(0),
		RunE: func(c *cobra.Command, _ []string) error {
			if now := p.leaderNow(c.Context()); now != nil && now.State == "serving" {
				_, err := fmt.Fprintln(p.Out, "it goes on already: it is not halted")
				return err
			}
			plan := "The group of keys takes writes again. If it halted as its replicas differ and they still do, it halts again at the next mark."
			if goOn, err := p.agreed(c, f, plan); !goOn {
				return err
			}
			return p.decide(c.Context(), "/group/resume", "it goes on")
		},
	}, f)
}

// leaderNow is how the leader of the group of keys stands; nil: none answers.
func (p *Program) leaderNow(ctx context.Context) *row {
	rows := p.allStatus(ctx)
	if i := leaderOf(rows); i >= 0 {
		return &rows[i]
	}
	return nil
}

func (p *Program) groupSkip() *cobra.Command {
	f := &change{}
	return p.changing(&cobra.Command{
		Use: "skip INDEX.ORDINAL", Short: "Have all replicas pass over a command that none can execute", Args: exactly(1),
		RunE: func(c *cobra.Command, args []string) error {
			skip, err := admin.ParseSkip(args[0])
			if err != nil {
				return usage(err)
			}
			at := skip.String()
			path := "/group/skip?at=" + url.QueryEscape(at)
			s := p.stoppedAt(c.Context(), at)
			switch {
			case s.passed:
				return p.decided(c.Context(), f, path, "command "+at+" is passed over already")
			case len(s.stopped) == 0 && s.answered:
				return &codedError{exitNo, fmt.Errorf("no replica is quarantined at command %s: %s. The command that one is quarantined at is in its lockstep status", at, orNone(s.others))}
			case len(s.stopped) == 0:
				return &codedError{exitNotDone, fmt.Errorf("%w: %s", errNobody, strings.Join(s.others, ", "))}
			}
			plan := fmt.Sprintf("Command %s is passed over on every replica, for good: its client is told that it was. Hosts quarantined at it: %s.", at, orNone(s.stopped))
			if len(s.others) > 0 {
				plan += fmt.Sprintf(" Not so: %s. If one of them has executed it, this is refused.", orNone(s.others))
			}
			if goOn, err := p.agreed(c, f, plan); !goOn {
				return err
			}
			return p.decide(c.Context(), path, "command "+at+" is passed over")
		},
	}, f)
}

var errNobody = errors.New("no server answers")

// stops is how the replicas of the group of keys stand to one command.
type stops struct {
	stopped, others []string // hosts, or endpoints, that are quarantined at it, and that are not, with their states
	answered        bool     // a replica is among them
	passed          bool     // the newest configuration that was told of has all replicas pass over it
}

func (p *Program) stoppedAt(ctx context.Context, at string) (s stops) {
	newest := uint64(0)
	for _, r := range p.allStatus(ctx) {
		name := r.Endpoint
		if r.ID != nil {
			name = fmt.Sprint(*r.ID)
		}
		s.answered = s.answered || r.State != "unreachable"
		if r.configuration >= newest {
			newest, s.passed = r.configuration, r.skip == at
		}
		if r.State == "quarantined" && strings.Contains(r.Why, "lockstep group skip "+at+".") {
			s.stopped = append(s.stopped, name)
		} else {
			s.others = append(s.others, name+" ("+r.State+")")
		}
	}
	slices.Sort(s.stopped)
	return s
}

func orNone(names []string) string {
	if len(names) == 0 {
		return "none"
	}
	return strings.Join(names, ", ")
}

// decided is for what a status tells already: it may do so before a majority has it, so that the decision is asked for
// once more, without a plan, and waited for. A dry run takes the status' word.
func (p *Program) decided(ctx context.Context, f *change, path, done string) error {
	if f.dry {
		_, err := fmt.Fprintln(p.Out, done)
		return err
	}
	return p.decide(ctx, path, done)
}

// decide asks one server after the other until one has done it, or says why not: a decision may be asked for twice. One
// that a server has heard may be done, whatever comes after it.
func (p *Program) decide(ctx context.Context, path, done string) error {
	ctx, cancel := context.WithTimeout(ctx, p.timeout)
	defer cancel()
	last, unknown := errors.New("no server could be asked"), false
	var reasons []error // why no connection came about
	for _, endpoint := range p.endpoints {
		var answer admin.DecisionAnswer
		err := p.post(ctx, endpoint, path, &answer)
		if err == nil && answer.Done {
			_, err = fmt.Fprintln(p.Out, done)
			return err
		}
		unknown = unknown || heard(err) || answer.Outcome == "unknown"
		if at := unreached(err); at != nil {
			reasons = append(reasons, at)
		}
		switch {
		case err == nil:
			err = errors.New(answer.Error)
		case ctx.Err() != nil:
			err = fmt.Errorf("no answer within %v", p.timeout)
		}
		last = fmt.Errorf("ask %s: %w", endpoint, err)
		if ctx.Err() != nil {
			break
		}
	}
	if unknown {
		return &codedError{exitUnknown, fmt.Errorf("%w. It may have been done, or may yet be: lockstep status tells", last)}
	}
	if len(reasons) == len(p.endpoints) {
		last = notReached(reasons)
	}
	return &codedError{exitNotDone, last}
}

// heard says that the error is of a request which a server may have got.
func heard(err error) bool {
	return err != nil && !errors.Is(err, errNotKnown) && unreached(err) == nil
}

// unreached is the error of a connection that did not come about; nil: it is another one, or none.
func unreached(err error) error {
	var at *net.OpError
	if errors.As(err, &at) && at.Op == "dial" {
		return at
	}
	return nil
}
