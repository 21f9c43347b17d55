package cli

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"
	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"google.golang.org/grpc"
	"google.golang.org/grpc/status"

	"github.com/lockstep-rsm/lockstep"
	"github.com/lockstep-rsm/lockstep/server/admin"
	"github.com/lockstep-rsm/lockstep/server/etcdapi"
)

func (p *Program) member() *cobra.Command {
	return p.parent("member", "The hosts of the cluster", p.memberList(), p.memberAdd(), p.memberRemove(), p.memberPromote(), p.memberReplace(), p.memberPriority())
}

func (p *Program) memberList() *cobra.Command {
	return &cobra.Command{
		Use: "list", Short: "List them", Args: exactly(0),
		RunE: func(c *cobra.Command, _ []string) error {
			got, err := p.members(c.Context())
			if err != nil {
				return err
			}
			if p.output == "json" {
				return p.json(got.Members)
			}
			rows := [][]string{{"ID", "NAME", "HOST", "ENDPOINT", "LEARNER"}}
			for _, m := range got.Members {
				rows = append(rows, []string{fmt.Sprint(m.ID), m.Name, first(m.PeerURLs), first(m.ClientURLs), fmt.Sprint(m.IsLearner)})
			}
			p.table(rows)
			return nil
		},
	}
}

// change is what the verbs that change members have in common: a plan, shown before anything is done.
type change struct {
	dry, yes bool
	good     time.Duration // of a token
}

func (p *Program) changing(c *cobra.Command, f *change) *cobra.Command {
	c.Flags().BoolVar(&f.dry, "dry-run", false, "show the plan, and do nothing")
	c.Flags().BoolVarP(&f.yes, "yes", "y", false, "do not ask before it is done")
	return c
}

// longestToken is as Host.Token has it.
const longestToken = 24 * time.Hour

func (p *Program) withToken(c *cobra.Command, f *change) *cobra.Command {
	c.Flags().DurationVar(&f.good, "for", time.Hour, "how long the token is good, at most 24h")
	c.PreRunE = func(*cobra.Command, []string) error {
		if f.good <= 0 || f.good > longestToken {
			return usage(fmt.Errorf("--for is %v. It is above 0, and at most 24h", f.good))
		}
		return nil
	}
	return p.changing(c, f)
}

func (p *Program) memberAdd() *cobra.Command {
	f := &change{}
	return p.withToken(&cobra.Command{
		Use: "add", Short: "Let one more host join: print a token for lockstep serve --join", Args: exactly(0),
		RunE: func(c *cobra.Command, _ []string) error {
			v, err := p.voters(c.Context())
			if err != nil {
				return err
			}
			n := len(v.voters)
			plan := fmt.Sprintf("One more host may join within %v. It learns first, then votes: %d voters become %d, of which %d may fail (now %d).",
				f.good, n, n+1, n/2, (n-1)/2)
			if goOn, err := p.agreed(c, f, plan); !goOn {
				return err
			}
			return p.printToken(c.Context(), f.good)
		},
	}, f)
}

func (p *Program) memberRemove() *cobra.Command {
	f := &change{}
	return p.changing(&cobra.Command{
		Use: "remove ID", Short: "Take a host out of the cluster, for good", Args: exactly(1),
		RunE: func(c *cobra.Command, args []string) error {
			id, plan, err := p.removal(c.Context(), args[0])
			if err != nil {
				return err
			}
			if plan == "" {
				_, err = fmt.Fprintf(p.Out, "host %d is removed already\n", id)
				return err
			}
			if goOn, err := p.agreed(c, f, plan); !goOn {
				return err
			}
			return p.removeMember(c.Context(), id)
		},
	}, f)
}

func (p *Program) memberPromote() *cobra.Command {
	f := &change{}
	return p.changing(&cobra.Command{
		Use: "promote ID", Short: "Make a learner a voter, once it follows closely", Args: exactly(1),
		RunE: func(c *cobra.Command, args []string) error {
			id, err := memberID(args[0])
			if err != nil {
				return err
			}
			v, err := p.voters(c.Context())
			if err != nil {
				return err
			}
			switch {
			case slices.Contains(v.voters, id):
				return &codedError{exitNo, fmt.Errorf("host %d votes already", id)}
			case !v.belongs(id):
				return v.stranger(id)
			case !slices.Contains(v.learners, id):
				return &codedError{exitNo, fmt.Errorf("host %d is no learner of the group of keys: it holds no replica of it", id)}
			}
			n := len(v.voters)
			plan := fmt.Sprintf("Host %d votes once it follows closely: %d voters become %d, of which %d may fail (now %d).", id, n, n+1, n/2, (n-1)/2)
			if goOn, err := p.agreed(c, f, plan); !goOn {
				return err
			}
			err = p.ask(c.Context(), true, func(ctx context.Context, conn *grpc.ClientConn) error {
				_, err := pb.NewClusterClient(conn).MemberPromote(ctx, &pb.MemberPromoteRequest{ID: id})
				return err
			})
			if err == nil {
				_, err = fmt.Fprintf(p.Out, "host %d votes\n", id)
			}
			return err
		},
	}, f)
}

func (p *Program) memberReplace() *cobra.Command {
	f := &change{}
	return p.withToken(&cobra.Command{
		Use: "replace ID", Short: "Take out a host that is lost, and let another join in its place", Args: exactly(1),
		RunE: func(c *cobra.Command, args []string) error {
			id, removal, err := p.removal(c.Context(), args[0])
			if err != nil {
				return err
			}
			plan := removal
			if removal == "" {
				plan = fmt.Sprintf("Host %d is removed already.", id)
			}
			plan += fmt.Sprintf(" Then one more host may join within %v, and votes in its place.", f.good)
			if goOn, err := p.agreed(c, f, plan); !goOn {
				return err
			}
			if removal != "" {
				if err := p.removeMember(c.Context(), id); err != nil {
					return err
				}
			}
			return p.printToken(c.Context(), f.good)
		},
	}, f)
}

func memberID(text string) (uint64, error) {
	id, err := strconv.ParseUint(text, 10, 64)
	if err != nil || id == 0 {
		return 0, usage(fmt.Errorf("%q is no host. It takes a number, as lockstep member list shows them", text))
	}
	return id, nil
}

// standing is which hosts there are, who of them votes, and on which a server answers.
type standing struct {
	members          []uint64
	voters, learners []uint64 // of the group of keys; voters to be are learners
	live             map[uint64]bool
	priorities       map[lockstep.HostID]int // of those that have another one than 1
}

func (s *standing) belongs(id uint64) bool { return slices.Contains(s.members, id) }

// wasRemoved says that a host belonged to the cluster once: ids are given in order, and never again.
func (s *standing) wasRemoved(id uint64) bool {
	return !s.belongs(id) && len(s.members) > 0 && id < slices.Max(s.members)
}

// stranger says why nothing can be done about a host that is not of the cluster.
func (s *standing) stranger(id uint64) error {
	if s.wasRemoved(id) {
		return &codedError{exitNo, fmt.Errorf("host %d was removed from the cluster. Let one join in its place: lockstep member add", id)}
	}
	return &codedError{exitNo, fmt.Errorf("host %d is not of the cluster: lockstep member list shows who is", id)}
}

// othersHave is how long servers have to say how they are once one has: one that is cut off keeps nobody waiting.
const othersHave = time.Second

// voters asks every server that is known how the group of keys stands.
func (p *Program) voters(ctx context.Context) (*standing, error) {
	s := &standing{live: map[uint64]bool{}}
	got, err := p.members(ctx)
	if err != nil {
		return nil, err
	}
	for _, m := range got.Members {
		s.members = append(s.members, m.ID)
	}
	var why error
	best := uint64(0)
	for _, a := range p.askEach(ctx, p.endpoints, true, othersHave) {
		if a.err != nil {
			why = a.err
			continue
		}
		s.live[uint64(a.status.ID)] = true
		for _, g := range a.status.Groups {
			if index := uint64(g.Configuration.Index); g.Group == 1 && index >= best {
				best, s.voters, s.learners, s.priorities = index, nil, nil, g.Configuration.Priorities
				for _, v := range g.Configuration.Voters {
					s.voters = append(s.voters, uint64(v))
				}
				for _, l := range slices.Concat(g.Configuration.Learners, g.Configuration.Next) {
					s.learners = append(s.learners, uint64(l))
				}
			}
		}
	}
	if s.voters == nil {
		return nil, &codedError{exitNotDone, fmt.Errorf("no server tells who votes: %w", each{why, errors.New("give --endpoints")})}
	}
	return s, nil
}

// removal is the plan of taking a host out; empty, if it is out already.
func (p *Program) removal(ctx context.Context, text string) (id uint64, plan string, err error) {
	if id, err = memberID(text); err != nil {
		return 0, "", err
	}
	v, err := p.voters(ctx)
	if err != nil {
		return 0, "", err
	}
	switch {
	case v.wasRemoved(id):
		return id, "", nil
	case !v.belongs(id):
		return 0, "", v.stranger(id)
	}
	rest, live, votes := 0, 0, false
	for _, voter := range v.voters {
		if voter == id {
			votes = true
			continue
		}
		rest++
		if v.live[voter] {
			live++
		}
	}
	plan = fmt.Sprintf("Host %d leaves every group and the cluster, for good", id)
	if votes {
		plan += fmt.Sprintf(": %d voters become %d, of which %d live and %d may fail", len(v.voters), rest, live, max((rest-1)/2, 0))
	}
	plan += ". Stop it then, and delete its directory."
	if votes && live <= rest/2 {
		return 0, "", &codedError{exitNotDone, fmt.Errorf("%s That would leave no majority that answers: start the others first", plan)}
	}
	return id, plan, nil
}

// agreed shows the plan, and says whether to go on.
func (p *Program) agreed(c *cobra.Command, f *change, plan string) (bool, error) {
	if f.dry {
		_, err := fmt.Fprintln(p.Out, plan)
		return false, err
	}
	fmt.Fprintln(p.Err, plan)
	if f.yes {
		return true, nil
	}
	fmt.Fprint(p.Err, "Go on? [y/N] ")
	answer, _ := bufio.NewReader(c.InOrStdin()).ReadString('\n')
	if a := strings.ToLower(strings.TrimSpace(answer)); a == "y" || a == "yes" {
		return true, nil
	}
	return false, &codedError{exitNotDone, errors.New("nothing was done. To do it without being asked, give --yes")}
}

// removeMember asks until the host is out: a change takes its time, and may be asked for again.
func (p *Program) removeMember(ctx context.Context, id uint64) error {
	err := p.ask(ctx, true, func(ctx context.Context, conn *grpc.ClientConn) error {
		_, err := pb.NewClusterClient(conn).MemberRemove(ctx, &pb.MemberRemoveRequest{ID: id})
		return err
	})
	if err != nil && err.Error() != status.Convert(etcdapi.ErrNoMember).Message() { // it was a member when the plan was made
		return err
	}
	_, err = fmt.Fprintf(p.Out, "host %d is removed\n", id)
	return err
}

// printToken has a server make a token, and says what to do with it.
func (p *Program) printToken(ctx context.Context, good time.Duration) error {
	token, err := p.anyToken(ctx, good)
	if err != nil {
		return err
	}
	if p.output == "json" {
		return p.json(admin.TokenAnswer{Token: token})
	}
	fmt.Fprintf(p.Err, "On the new host: lockstep serve --data DIR --client HOST:PORT --host HOST:PORT --join TOKEN\n")
	_, err = fmt.Fprintln(p.Out, token)
	return err
}

// tokenStart is how long a server has for a token before the next is asked as well: it may be cut off from its clients,
// or from the other hosts. A token that nobody is told lets nobody join.
const tokenStart = time.Second

// anyToken is of the first server that makes one.
func (p *Program) anyToken(ctx context.Context, good time.Duration) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, p.timeout)
	defer cancel()
	type made struct {
		token string
		err   error
	}
	tries := make(chan made, len(p.endpoints)) // nobody waits for those that come too late
	begun, open := 0, 0
	next := func() {
		endpoint := p.endpoints[begun]
		begun, open = begun+1, open+1
		p.env.Run("token", func() {
			token, err := p.tokenOf(ctx, endpoint, good)
			if err != nil {
				err = fmt.Errorf("ask %s for a token: %w", endpoint, err)
			}
			tries <- made{token, err}
		})
	}
	start := time.NewTicker(tokenStart)
	defer start.Stop()
	var errs []error
	for begun < len(p.endpoints) || open > 0 {
		if open == 0 {
			next()
			start.Reset(tokenStart)
		}
		select {
		case got := <-tries:
			if open--; got.err == nil {
				return got.token, nil
			}
			errs = append(errs, got.err)
		case <-start.C:
			if begun < len(p.endpoints) {
				next()
			}
		}
	}
	return "", &codedError{exitNotDone, each(errs)}
}

func (p *Program) tokenOf(ctx context.Context, endpoint string, good time.Duration) (string, error) {
	var answer admin.TokenAnswer
	if err := p.post(ctx, endpoint, "/members/token?for="+url.QueryEscape(good.String()), &answer); err != nil {
		return "", err
	}
	if answer.Token == "" {
		return "", errors.New(answer.Error)
	}
	return answer.Token, nil
}

// errNotKnown is of a server that did nothing with a request, as it has no such path.
var errNotKnown = errors.New("it does not know this request: is it lockstep serve, and as new as this program?")

// post asks one server for something that is not of etcd's protocol, until ctx ends, and reads its answer.
func (p *Program) post(ctx context.Context, endpoint, path string, answer any) error {
	transport := &http.Transport{DisableKeepAlives: true}
	scheme := "http://"
	if p.tls.on() || strings.HasPrefix(endpoint, "https://") {
		c, err := p.tls.load()
		if err != nil {
			return err
		}
		transport.TLSClientConfig, scheme = c, "https://"
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, scheme+plain(endpoint)+path, nil)
	if err != nil {
		return usage(err)
	}
	resp, err := (&http.Client{Transport: transport}).Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode == http.StatusNotFound {
		return errNotKnown
	}
	if err := json.NewDecoder(io.LimitReader(resp.Body, 1<<20)).Decode(answer); err != nil {
		return fmt.Errorf("read its answer (%s): %w", resp.Status, err)
	}
	return nil
}
