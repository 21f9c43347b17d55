package cli

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strconv"

	"github.com/spf13/cobra"

	"github.com/lockstep-rsm/lockstep"
)

// priorityJSON is one host in member priority --output json.
type priorityJSON struct {
	ID       uint64 `json:"id"`
	Voter    bool   `json:"voter"`
	Priority int    `json:"priority"`
}

const mostPriority = 255

func (p *Program) memberPriority() *cobra.Command {
	f := &change{}
	return p.changing(&cobra.Command{
		Use: "priority [ID NUMBER]", Short: "Say which hosts should rather lead", Args: between(0, 2),
		Long: `Without arguments, print how much each host is wanted as leader of the group of keys: 0 to 255, 1 if nothing was said. With
them, change that of one host. The leader hands over to a voter of higher priority that keeps up, some seconds after it
does; a voter of priority 0 leads only where no other can. Elections do not look at it.`,
		RunE: func(c *cobra.Command, args []string) error {
			if len(args) == 0 {
				return p.listPriorities(c.Context())
			}
			id, value, err := priorityOf(args)
			if err != nil {
				return err
			}
			v, err := p.voters(c.Context())
			if err != nil {
				return err
			}
			now, path := v.priority(id), fmt.Sprintf("/members/priority?id=%d&priority=%s", id, url.QueryEscape(args[1]))
			switch {
			case !v.belongs(id):
				return v.stranger(id)
			case !slices.Contains(v.voters, id) && !slices.Contains(v.learners, id):
				return &codedError{exitNo, fmt.Errorf("host %d holds no replica of the group of keys", id)}
			case now == value:
				return p.decided(c.Context(), f, path, fmt.Sprintf("host %d has priority %d already", id, value))
			}
			plan := fmt.Sprintf("Host %d gets priority %d for leading the group of keys (now %d). %s", id, value, now, v.outlook(id, value))
			if goOn, err := p.agreed(c, f, plan); !goOn {
				return err
			}
			return p.decide(c.Context(), path, fmt.Sprintf("host %d has priority %d", id, value))
		},
	}, f)
}

func priorityOf(args []string) (id uint64, value int, err error) {
	if len(args) == 1 {
		return 0, 0, usage(errors.New("NUMBER is missing. Usage: lockstep member priority [ID NUMBER] [flags]"))
	}
	if id, err = memberID(args[0]); err != nil {
		return 0, 0, err
	}
	if value, err = strconv.Atoi(args[1]); err != nil || value < 0 || value > mostPriority {
		return 0, 0, usage(fmt.Errorf("%q is no priority. It is a number from 0 to %d", args[1], mostPriority))
	}
	return id, value, nil
}

// priority of a host for leading.
func (s *standing) priority(id uint64) int {
	if n, other := s.priorities[lockstep.HostID(id)]; other {
		return n
	}
	return 1
}

// outlook says what comes of a host's new priority.
func (s *standing) outlook(id uint64, value int) string {
	most, rest := -1, []uint64{}
	for _, voter := range s.voters {
		if voter != id {
			most, rest = max(most, s.priority(voter)), append(rest, voter)
		}
	}
	switch {
	case !slices.Contains(s.voters, id):
		return "It counts once it votes."
	case value == 0:
		return "It leads only where no other voter can."
	case value > most:
		return "It leads once it keeps up: who leads then hands over to it, and no write is lost."
	case value < most:
		return fmt.Sprintf("It hands over to a voter of higher priority that keeps up: the highest of the others is %d.", most)
	}
	return fmt.Sprintf("No voter is wanted more than it: %d others have at most as much.", len(rest))
}

func (p *Program) listPriorities(ctx context.Context) error {
	v, err := p.voters(ctx)
	if err != nil {
		return err
	}
	all := []priorityJSON{}
	for _, id := range v.voters {
		all = append(all, priorityJSON{id, true, v.priority(id)})
	}
	for _, id := range v.learners {
		if !slices.Contains(v.voters, id) {
			all = append(all, priorityJSON{id, false, v.priority(id)})
		}
	}
	slices.SortFunc(all, func(a, b priorityJSON) int { return int(a.ID) - int(b.ID) })
	if p.output == "json" {
		return p.json(all)
	}
	rows := [][]string{{"ID", "VOTER", "PRIORITY"}}
	for _, a := range all {
		rows = append(rows, []string{fmt.Sprint(a.ID), fmt.Sprint(a.Voter), fmt.Sprint(a.Priority)})
	}
	p.table(rows)
	return nil
}
