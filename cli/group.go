package cli

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/lockstep-rsm/lockstep/server/admin"
)

func (p *Program) group() *cobra.Command {
	group := &cobra.Command{
		Use: "group", Short: "What an operator decides about the group of keys", Args: exactly(0),
		RunE: func(c *cobra.Command, _ []string) error { return c.Help() },
	}
	group.AddCommand(p.groupHalt(), p.groupResume(), p.groupSkip())
	return group
}

func (p *Program) groupHalt() *cobra.Command {
	f := &change{}
	return p.changing(&cobra.Command{
		Use: "halt", Short: "Stop its writes, through its log; reads go on", Args: exactly(0),
		RunE: func(c *cobra.Command, _ []string) error {
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
			plan := "The group of keys takes writes again. If it halted as its replicas differ and they still do, it halts again at the next mark."
			if goOn, err := p.agreed(c, f, plan); !goOn {
				return err
			}
			return p.decide(c.Context(), "/group/resume", "it goes on")
		},
	}, f)
}

func (p *Program) groupSkip() *cobra.Command {
	f := &change{}
	return p.changing(&cobra.Command{
		Use: "skip INDEX.ORDINAL", Short: "Have all replicas pass over a command that none can execute", Args: exactly(1),
		RunE: func(c *cobra.Command, args []string) error {
			if _, err := admin.ParseSkip(args[0]); err != nil {
				return usage(err)
			}
			stopped, others := p.stoppedAt(c.Context(), args[0])
			plan := fmt.Sprintf("Command %s is passed over on every replica, for good: its client is told that it was. Hosts quarantined at it: %s.", args[0], orNone(stopped))
			if len(others) > 0 {
				plan += fmt.Sprintf(" Not so: %s. If one of them has executed it, this is refused.", orNone(others))
			}
			if goOn, err := p.agreed(c, f, plan); !goOn {
				return err
			}
			return p.decide(c.Context(), "/group/skip?at="+url.QueryEscape(args[0]), "command "+args[0]+" is passed over")
		},
	}, f)
}

// stoppedAt tells which hosts are quarantined at a command, and how the others are.
func (p *Program) stoppedAt(ctx context.Context, at string) (stopped, others []string) {
	for _, r := range p.allStatus(ctx) {
		name := r.Endpoint
		if r.ID != nil {
			name = fmt.Sprint(*r.ID)
		}
		if r.State == "quarantined" && strings.Contains(r.Why, "lockstep group skip "+at+".") {
			stopped = append(stopped, name)
		} else {
			others = append(others, name+" ("+r.State+")")
		}
	}
	slices.Sort(stopped)
	return stopped, others
}

func orNone(names []string) string {
	if len(names) == 0 {
		return "none"
	}
	return strings.Join(names, ", ")
}

// decide asks one server after the other until one has done it, or says why not.
func (p *Program) decide(ctx context.Context, path, done string) error {
	last := errors.New("no server could be asked")
	for _, endpoint := range p.endpoints {
		var answer admin.DecisionAnswer
		err := p.post(ctx, endpoint, path, &answer)
		if err == nil && answer.Done {
			_, err = fmt.Fprintln(p.Out, done)
			return err
		}
		if err == nil {
			err = errors.New(answer.Error)
		}
		last = fmt.Errorf("ask %s: %w", endpoint, err)
	}
	return &codedError{exitNotDone, last}
}
