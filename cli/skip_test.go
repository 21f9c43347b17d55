package cli

import (
	"bytes"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/lockstep-rsm/lockstep"
	"github.com/lockstep-rsm/lockstep/env"
	"github.com/lockstep-rsm/lockstep/server/admin"
)

// telling is a server that says this of its replica, and of the decision to pass over what is passed over already.
func telling(t *testing.T, id lockstep.HostID, g lockstep.GroupStatus, committed bool) string {
	t.Helper()
	g.Group = 1
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch passed := g.Configuration.Skip; {
		case r.URL.Path == "/group/skip" && passed != "" && r.URL.Query().Get("at") == passed && committed:
			_ = json.NewEncoder(w).Encode(admin.DecisionAnswer{Done: true})
			return
		case r.URL.Path == "/group/skip":
			_ = json.NewEncoder(w).Encode(admin.DecisionAnswer{Error: "no majority answered", Outcome: "unknown"})
			return
		case r.URL.Path != "/status":
			t.Errorf("%s %s is asked, before anybody agreed", r.Method, r.URL.Path)
		}
		_ = json.NewEncoder(w).Encode(admin.Status{HostStatus: lockstep.HostStatus{ID: id, Groups: []lockstep.GroupStatus{g}}})
	}))
	t.Cleanup(s.Close)
	return strings.TrimPrefix(s.URL, "http://")
}

// A command is planned to be passed over only where a replica stopped at it. One that was passed over already is done,
// once a majority has it so: a configuration counts from when it is in a log, and may be lost until then.
func TestSkipIsPlannedOnlyWhereAReplicaStopped(t *testing.T) {
	stopped := lockstep.GroupStatus{State: "quarantined", Why: "it may be passed over instead: lockstep group skip 7.1. Other groups serve on"}
	serving := lockstep.GroupStatus{State: "serving", Role: "follower"}
	passed := serving
	passed.Configuration = lockstep.ConfigurationStatus{Index: 9, Skip: "7.1"}
	former := serving
	former.Configuration = lockstep.ConfigurationStatus{Index: 8, Skip: "7.10"}
	for name, c := range map[string]struct {
		replicas []lockstep.GroupStatus
		at       string
		code     int
		says     string
	}{
		"none":          {[]lockstep.GroupStatus{serving, serving}, "7.1", exitNo, "no replica is quarantined at command 7.1: 1 (serving), 2 (serving)"},
		"at another":    {[]lockstep.GroupStatus{stopped, stopped}, "7.10", exitNo, "no replica is quarantined at command 7.10: 1 (quarantined), 2 (quarantined)"},
		"one of two":    {[]lockstep.GroupStatus{stopped, serving}, "7.1", exitNotDone, "Hosts quarantined at it: 1. Not so: 2 (serving)"},
		"other writing": {[]lockstep.GroupStatus{stopped, stopped}, "07.01", exitNotDone, "Command 7.1 is passed over on every replica, for good: its client is told that it was. Hosts quarantined at it: 1, 2."},
		"done":          {[]lockstep.GroupStatus{former, passed}, "7.1", exitDone, "command 7.1 is passed over already"},
		"not yet":       {[]lockstep.GroupStatus{passed, passed}, "7.1", exitUnknown, "no majority answered"},
		"nobody":        {nil, "7.1", exitNotDone, "no server answers"},
	} {
		var out bytes.Buffer
		p := Program{Out: &out, Err: &out, env: env.OS(), timeout: 5 * time.Second, endpoints: []string{"127.0.0.1:1"}}
		if c.replicas != nil {
			p.endpoints = nil
		}
		for i, g := range c.replicas {
			p.endpoints = append(p.endpoints, telling(t, lockstep.HostID(i+1), g, name == "done"))
		}
		verb := p.groupSkip()
		verb.SetArgs([]string{c.at})
		verb.SetIn(strings.NewReader("n\n"))
		verb.SilenceErrors, verb.SilenceUsage = true, true
		err := verb.ExecuteContext(t.Context())
		if got := exitCode(err); got != c.code || !strings.Contains(out.String()+errorText(err), c.says) {
			t.Errorf("%s: exit code %d, want %d: %s%v", name, got, c.code, out.String(), err)
		}
		if asked := strings.Contains(out.String(), "[y/N]"); asked != (c.code == exitNotDone && !errors.Is(err, errNobody)) {
			t.Errorf("%s: asked %v: %s", name, asked, out.String())
		}
	}
}
