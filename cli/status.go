package cli

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/jedib0t/go-pretty/v6/table"
	"github.com/jedib0t/go-pretty/v6/text"
	"github.com/spf13/cobra"

	"github.com/lockstep-rsm/lockstep/server/admin"
)

// row is one replica in status; pointers are null where nothing is known, Tolerates is −1 then, as in /status.
type row struct {
	ID          *uint64 `json:"id"`
	Group       uint64  `json:"group"`
	Role        *string `json:"role"`
	State       string  `json:"state"`
	Why         string  `json:"why"`
	Term        *uint64 `json:"term"`
	Commit      *uint64 `json:"commit"`
	Applied     *uint64 `json:"applied"`
	Endpoint    string  `json:"endpoint"`
	PID         *int    `json:"pid"`
	Disk        *string `json:"disk"`
	Digest      *string `json:"digest"`
	DigestIndex *uint64 `json:"digest_index"`
	Tolerates   int     `json:"tolerates"`

	syncP99 time.Duration
	voters  int
	addr    string // between hosts
	cluster string

	configuration uint64 // its index
	skip          string // the command that it has all replicas pass over
}

func (p *Program) statusCommand() *cobra.Command {
	return &cobra.Command{
		Use: "status", Short: "Tell who leads, how far, what is wrong, what to do", Args: exactly(0),
		Long: `Ask every server given, and every one that those know, how it is.
Exit code 0: all that answer serve; 1: one of them does not; 3: no leader is among them.`,
		RunE: func(c *cobra.Command, _ []string) error {
			rows := p.allStatus(c.Context())
			if p.output == "json" {
				if err := p.json(rows); err != nil {
					return err
				}
			} else {
				p.printStatus(rows)
			}
			return verdict(rows)
		},
	}
}

// answer is what one server said of itself, or why it did not.
type answer struct {
	endpoint string
	status   *admin.Status
	err      error
}

// askEach asks servers how they are, and, where follow is set, those that they tell of: all of them at
// once, within one timeout, so that those that hang cost no more than one that does; once one has answered the others have
// rest, where that is above 0. The answers come in the order of the servers.
func (p *Program) askEach(ctx context.Context, endpoints []string, follow bool, rest time.Duration) []answer {
	ctx, cancel := context.WithTimeout(ctx, p.timeout)
	defer cancel()
	answers := make(chan answer)
	place, schemes := map[string]int{}, map[string]string{}
	var all []answer
	open, answered := 0, false
	ask := func(endpoint, scheme string) {
		e := plain(endpoint)
		if _, asked := place[e]; asked || e == "" {
			return
		}
		schemes[e] = scheme
		place[e] = len(all)
		all = append(all, answer{endpoint: e})
		open++
		p.env.Run("status of "+e, func() {
			s, err := p.hostStatus(ctx, scheme+e)
			answers <- answer{e, s, err}
		})
	}
	for _, e := range endpoints {
		scheme, _, given := strings.Cut(e, "://")
		if scheme += "://"; !given {
			scheme = ""
		}
		ask(e, scheme)
	}
	for ; open > 0; open-- {
		a := <-answers
		all[place[a.endpoint]] = a
		if a.err == nil && rest > 0 && !answered {
			answered = true
			defer time.AfterFunc(rest, cancel).Stop()
		}
		for i := 0; follow && a.err == nil && i < len(a.status.Peers); i++ {
			ask(a.status.Peers[i].Endpoint, schemes[a.endpoint])
		}
	}
	return all
}

// allStatus asks the endpoints, and those that they tell of.
func (p *Program) allStatus(ctx context.Context) []row {
	known := map[string]uint64{} // ids of endpoints, and of addresses between hosts, that others told of
	var rows []row
	for _, a := range p.askEach(ctx, p.endpoints, true, 0) {
		if a.err != nil {
			rows = append(rows, row{Group: 1, Endpoint: a.endpoint, State: "unreachable", Why: a.err.Error(), Tolerates: -1})
			continue
		}
		for _, peer := range a.status.Peers {
			known[peer.Addr] = uint64(peer.ID)
			if peer.Endpoint != "" {
				known[peer.Endpoint] = uint64(peer.ID)
			}
		}
		rows = append(rows, rowsOf(a.status, a.endpoint)...)
	}
	reached := slices.ContainsFunc(rows, func(r row) bool { return r.State != "unreachable" })
	rows = slices.DeleteFunc(rows, func(r row) bool {
		// A default endpoint that the cluster does not know of is nobody's.
		return reached && r.State == "unreachable" && known[r.Endpoint] == 0 && len(known) > 0
	})
	for i := range rows {
		for _, name := range []string{rows[i].Endpoint, rows[i].addr} {
			if id, ok := known[name]; ok && rows[i].ID == nil {
				rows[i].ID = &id
			}
		}
	}
	tellStrangers(rows)
	slices.SortStableFunc(rows, func(a, b row) int { return int(value(a.ID)) - int(value(b.ID)) })
	return rows
}

// tellStrangers marks hosts whose directory belongs to another cluster than the one that serves.
func tellStrangers(rows []row) {
	i := slices.IndexFunc(rows, func(r row) bool { return value(r.Role) == "leader" && r.State == "serving" })
	if i < 0 {
		return
	}
	for j := range rows {
		if own := rows[j].cluster; own != "" && own != rows[i].cluster && rows[j].State != "serving" {
			rows[j].Why = fmt.Sprintf("its data directory belongs to cluster %.8s…, the others are of cluster %.8s…: nothing was changed, start it with its own --data", own, rows[i].cluster)
		}
	}
}

func value[T any](v *T) (out T) {
	if v != nil {
		out = *v
	}
	return out
}

func rowsOf(s *admin.Status, endpoint string) (rows []row) {
	id, pid, disk := uint64(s.ID), s.PID, s.Disk
	for i := range s.Groups {
		g := &s.Groups[i]
		commit, applied, index, digest := uint64(g.Commit), uint64(g.Applied), uint64(g.DigestIndex), g.Digest.String()
		r := row{
			ID: &id, Group: uint64(g.Group), Role: &g.Role, State: g.State, Why: g.Why, Term: &g.Term, Commit: &commit,
			Applied: &applied, Endpoint: endpoint, PID: &pid, Disk: &disk, Tolerates: g.Tolerates, syncP99: s.SyncP99,
			voters: len(g.Configuration.Voters), cluster: s.Cluster,
			configuration: uint64(g.Configuration.Index), skip: g.Configuration.Skip,
		}
		if g.DigestIndex != 0 {
			r.Digest, r.DigestIndex = &digest, &index
		}
		rows = append(rows, r)
	}
	if len(rows) == 0 {
		why := s.Why
		if why == "" {
			why = "it holds no replica yet"
		}
		rows = []row{{Group: 1, Endpoint: endpoint, State: "recovering", Why: why, Tolerates: -1, PID: &pid, Disk: &disk, addr: s.Addr}}
		if id != 0 {
			rows[0].ID = &id
		}
	}
	return rows
}

// leaderOf is the row of the leader that serves, or is halted, of the highest term; −1: none answers.
func leaderOf(rows []row) int {
	lead := -1
	for i, r := range rows {
		if value(r.Role) == "leader" && (r.State == "serving" || r.State == "halted") && (lead < 0 || value(r.Term) > value(rows[lead].Term)) {
			lead = i
		}
	}
	return lead
}

// verdict is 0 if every host that answers serves, 3 if a group cannot.
func verdict(rows []row) error {
	if leaderOf(rows) < 0 {
		return &codedError{code: exitNotDone}
	}
	if slices.ContainsFunc(rows, func(r row) bool { return r.State != "serving" && r.State != "unreachable" }) {
		return &codedError{code: exitFailed}
	}
	return nil
}

func (p *Program) printStatus(rows []row) {
	cells := [][]string{{"ID", "ROLE", "TERM", "COMMIT", "APPLIED", "ENDPOINT", "PID", "DISK", "DIGEST @ INDEX", "STATE"}}
	for _, r := range rows {
		digest := ""
		if r.Digest != nil {
			digest = fmt.Sprintf("%s @ %d", *r.Digest, *r.DigestIndex)
		}
		cells = append(cells, []string{or(r.ID), or(r.Role), or(r.Term), or(r.Commit), or(r.Applied), r.Endpoint, or(r.PID), or(r.Disk), digest, r.State})
	}
	p.table(cells)
	fmt.Fprintln(p.Out, advice(rows))
}

// tolerates is how many more voters may fail: what the leader says, or less if fewer answered here.
func tolerates(rows []row, leader *row) int {
	serving := 0
	for _, r := range rows {
		if r.Group == leader.Group && r.State == "serving" {
			serving++
		}
	}
	return max(0, min(leader.Tolerates, serving-(leader.voters/2+1)))
}

func or[T any](v *T) string {
	if v == nil || fmt.Sprint(*v) == "" {
		return "-"
	}
	return fmt.Sprint(*v)
}

// advice is what a person should know and do, in sentences.
func advice(rows []row) string {
	var say []string
	i, halted := leaderOf(rows), ""
	switch {
	case i < 0 && !slices.ContainsFunc(rows, func(r row) bool { return r.State != "unreachable" }):
		say = append(say, "No server answers. Start one: lockstep up; or give --endpoints.")
	case i < 0:
		say = append(say, "Group 1 has no leader: it cannot serve until a majority of its hosts runs and has elected one.")
	case rows[i].State == "halted":
		halted = rows[i].Why
		say = append(say, fmt.Sprintf("Group %d is halted: %s.", rows[i].Group, halted))
	case rows[i].Tolerates >= 0:
		n, losses := tolerates(rows, &rows[i]), "losses"
		if n == 1 {
			losses = "loss"
		}
		say = append(say, fmt.Sprintf("Group %d serves, and tolerates %d more %s.", rows[i].Group, n, losses))
	default:
		say = append(say, fmt.Sprintf("Group %d serves.", rows[i].Group))
	}
	for _, r := range rows {
		name := "Host " + or(r.ID) + ": "
		if r.ID == nil {
			name = r.Endpoint + ": "
		}
		switch {
		case r.State == "unreachable" && !strings.Contains(r.Why, "connection refused"):
			say = append(say, name+r.Why+".")
		case r.State == "unreachable" && r.ID != nil:
			say = append(say, name+"start it.")
		case r.State == "unreachable", halted != "" && r.Why == halted: // said above
		case r.State != "serving":
			say = append(say, name+r.State+", "+r.Why+".")
		case value(r.Disk) != "ok" && r.Disk != nil:
			say = append(say, fmt.Sprintf("%sdisk is %s, sync p99 %v%s: see lockstep doctor there.", name, *r.Disk, r.syncP99.Round(time.Millisecond), slowAbove(*r.Disk)))
		}
	}
	return strings.Join(say, " ")
}

// slowAbove is the bound that a slow disk has passed.
func slowAbove(disk string) string {
	if disk != "slow" {
		return ""
	}
	return " (slow is above 100ms)" // as HostStatus.Disk says
}

// table prints aligned columns; the first row is the head.
func (p *Program) table(rows [][]string) { writeTable(p.Out, rows) }

func writeTable(out io.Writer, rows [][]string) {
	t := table.NewWriter()
	style := table.StyleDefault
	style.Options = table.Options{}
	style.Box.PaddingLeft, style.Box.PaddingRight = "", "  "
	style.Format.Header = text.FormatDefault
	t.SetStyle(style)
	for i, r := range rows {
		cells := make(table.Row, len(r))
		for j, c := range r {
			cells[j] = c
		}
		if i == 0 {
			t.AppendHeader(cells)
		} else {
			t.AppendRow(cells)
		}
	}
	for _, line := range strings.Split(t.Render(), "\n") {
		fmt.Fprintln(out, strings.TrimRight(line, " "))
	}
}
