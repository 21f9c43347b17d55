package admin

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/lockstep-rsm/lockstep"
)

// Status is the answer of /status: the host's own, and what the server adds.
type Status struct {
	lockstep.HostStatus
	Endpoint string `json:"endpoint"` // host:port for clients
	Version  string `json:"version"`
	Peers    []Peer `json:"peers"` // all hosts of the cluster, this one included
}

// Peer is one host of the cluster as this one knows it.
type Peer struct {
	ID       lockstep.HostID `json:"id"`
	Addr     string          `json:"addr"`     // that other hosts dial
	Endpoint string          `json:"endpoint"` // for clients; empty until it has started once
	PID      int             `json:"pid"`      // of its last start; 0: unknown
}

// Check is one condition.
type Check struct {
	Name  string
	Run   func(ctx context.Context) error // for /readyz; nil: it holds
	Alive func(ctx context.Context) error // for /livez: an error that a restart may help against. nil: no part of it
}

// Options of the handler. Status, Checks and Versions are required.
type Options struct {
	Status   func() Status                                              // never waits
	Token    func(ctx context.Context, d time.Duration) (string, error) // lets one more host join. nil: nobody
	Decide   func(ctx context.Context, d Decision) error                // does what an operator decides about the group of keys. nil: nothing
	Checks   []Check                                                    // all of them make /readyz
	Versions map[string]string
	Timeout  time.Duration // of all checks of one request. Zero: 5 s
}

// Handler serves the paths of this package.
func Handler(o Options) http.Handler {
	if o.Timeout == 0 {
		o.Timeout = 5 * time.Second
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /status", func(w http.ResponseWriter, _ *http.Request) { reply(w, http.StatusOK, o.Status()) })
	mux.HandleFunc("GET /version", func(w http.ResponseWriter, _ *http.Request) { reply(w, http.StatusOK, o.Versions) })
	mux.HandleFunc("GET /health", o.health)
	if o.Token != nil {
		mux.HandleFunc("POST /members/token", o.token)
	}
	if o.Decide != nil {
		for _, verb := range []string{"halt", "resume", "skip"} {
			mux.HandleFunc("POST /group/"+verb, func(w http.ResponseWriter, r *http.Request) { o.decide(w, r, verb) })
		}
		mux.HandleFunc("POST /members/priority", func(w http.ResponseWriter, r *http.Request) { o.decide(w, r, "priority") })
	}
	for _, path := range []string{"livez", "readyz"} {
		live := path == "livez"
		mux.HandleFunc("GET /"+path, func(w http.ResponseWriter, r *http.Request) { o.check(w, r, path, "", live) })
		mux.HandleFunc("GET /"+path+"/{name}", func(w http.ResponseWriter, r *http.Request) { o.check(w, r, path, r.PathValue("name"), live) })
	}
	return mux
}

func reply(w http.ResponseWriter, status int, v any) {
	b, err := json.Marshal(v)
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, _ = w.Write(append(b, '\n')) // the client is gone if it fails
}

// check answers one line per check and a verdict; without ?verbose, only what is wrong.
func (o *Options) check(w http.ResponseWriter, r *http.Request, path, name string, live bool) {
	ctx, cancel := context.WithTimeout(r.Context(), o.Timeout)
	defer cancel()
	_, verbose := r.URL.Query()["verbose"]
	var lines strings.Builder
	failed, found := false, false
	for _, c := range o.Checks {
		run := c.Run
		if live {
			run = c.Alive
		}
		if run == nil || name != "" && c.Name != name {
			continue
		}
		found = true
		switch err := run(ctx); {
		case slices.Contains(r.URL.Query()["exclude"], c.Name):
			fmt.Fprintf(&lines, "[+]%s excluded: ok\n", c.Name)
		case err != nil:
			failed = true
			fmt.Fprintf(&lines, "[-]%s failed: %v\n", c.Name, err)
		default:
			fmt.Fprintf(&lines, "[+]%s ok\n", c.Name)
		}
	}
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	switch {
	case !found:
		http.Error(w, "there is no check "+name, http.StatusNotFound)
	case failed:
		w.WriteHeader(http.StatusServiceUnavailable)
		fmt.Fprintf(w, "%s%s check failed\n", lines.String(), path)
	case verbose:
		fmt.Fprintf(w, "%s%s check passed\n", lines.String(), path)
	default:
		fmt.Fprint(w, "ok\n")
	}
}

// TokenAnswer is the answer of POST /members/token?for=1h.
type TokenAnswer struct {
	Token string `json:"token,omitempty"`
	Error string `json:"error,omitempty"`
}

func (o *Options) token(w http.ResponseWriter, r *http.Request) {
	d, err := time.ParseDuration(r.URL.Query().Get("for"))
	if err != nil {
		reply(w, http.StatusBadRequest, TokenAnswer{Error: "for is how long the token is good: for=1h"})
		return
	}
	t, err := o.Token(r.Context(), d)
	switch {
	case errors.Is(err, lockstep.ErrOptions):
		reply(w, http.StatusBadRequest, TokenAnswer{Error: err.Error()})
	case err != nil:
		reply(w, http.StatusServiceUnavailable, TokenAnswer{Error: err.Error()})
	default:
		reply(w, http.StatusOK, TokenAnswer{Token: t})
	}
}

// Decision is an operator's, about the group of keys.
type Decision struct {
	Verb     string          // halt, resume, skip or priority
	Skip     lockstep.Skip   // of skip: the command that all replicas pass over
	Host     lockstep.HostID // of priority: whose it is
	Priority int             // of priority
}

// DecisionAnswer is the answer of POST /group/halt, /group/resume, /group/skip?at=2041.3 and /members/priority?id=2&priority=9.
type DecisionAnswer struct {
	Done    bool   `json:"done"`
	Error   string `json:"error,omitempty"`
	Outcome string `json:"outcome,omitempty"` // with Error: not_committed, or unknown: it may be done, or may yet be
}

func (o *Options) decide(w http.ResponseWriter, r *http.Request, verb string) {
	d, err := decision(verb, r.URL.Query())
	if err != nil {
		reply(w, http.StatusBadRequest, notDecided(err, lockstep.NotCommitted))
		return
	}
	switch err := o.Decide(r.Context(), d); {
	case errors.Is(err, lockstep.ErrRefused):
		reply(w, http.StatusConflict, notDecided(err, lockstep.OutcomeOf(err)))
	case err != nil:
		reply(w, http.StatusServiceUnavailable, notDecided(err, lockstep.OutcomeOf(err)))
	default:
		reply(w, http.StatusOK, DecisionAnswer{Done: true})
	}
}

func notDecided(err error, known lockstep.Outcome) DecisionAnswer {
	a := DecisionAnswer{Error: err.Error(), Outcome: "unknown"}
	if known == lockstep.NotCommitted {
		a.Outcome = "not_committed"
	}
	return a
}

func decision(verb string, asked url.Values) (d Decision, err error) {
	d.Verb = verb
	switch verb {
	case "skip":
		d.Skip, err = ParseSkip(asked.Get("at"))
	case "priority":
		id, ierr := strconv.ParseUint(asked.Get("id"), 10, 64)
		n, nerr := strconv.Atoi(asked.Get("priority"))
		if d.Host, d.Priority = lockstep.HostID(id), n; ierr != nil || nerr != nil || id == 0 {
			err = errors.New("it takes a host and its priority: id=2&priority=9")
		}
	}
	return d, err
}

// ParseSkip reads the place of a command, index.ordinal, as a quarantined replica's status has it.
func ParseSkip(text string) (lockstep.Skip, error) {
	a, b, _ := strings.Cut(text, ".")
	index, err := strconv.ParseUint(a, 10, 64)
	ordinal, oerr := strconv.ParseUint(b, 10, 32)
	if err != nil || oerr != nil || index == 0 {
		return lockstep.Skip{}, fmt.Errorf("%q is no place of a command. It is index.ordinal, such as 2041.3, as lockstep status shows it", text)
	}
	return lockstep.Skip{Index: lockstep.Index(index), Ordinal: uint32(ordinal)}, nil
}

// health is the form that etcd gave it: a truth value as text, and a reason.
func (o *Options) health(w http.ResponseWriter, r *http.Request) {
	ctx, cancel := context.WithTimeout(r.Context(), o.Timeout)
	defer cancel()
	answer := struct {
		Health string `json:"health"`
		Reason string `json:"reason"`
	}{Health: "true"}
	if s := o.Status(); s.Disk == "full" && !slices.Contains(r.URL.Query()["exclude"], "NOSPACE") {
		answer.Health, answer.Reason = "false", "ALARM NOSPACE"
	}
	local := r.URL.Query().Get("serializable") == "true"
	for _, c := range o.Checks {
		run := c.Run
		if local {
			run = c.Alive
		}
		if answer.Health != "true" || run == nil {
			continue
		}
		if err := run(ctx); err != nil {
			answer.Health, answer.Reason = "false", c.Name+": "+err.Error()
		}
	}
	status := http.StatusOK
	if answer.Health != "true" {
		status = http.StatusServiceUnavailable
	}
	reply(w, status, answer)
}
