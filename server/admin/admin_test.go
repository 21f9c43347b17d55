package admin

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/lockstep-rsm/lockstep"
)

func TestChecksDecideWhoIsAliveAndReady(t *testing.T) {
	var broken, starting error
	disk := "ok"
	h := Handler(Options{
		Status: func() Status { return Status{HostStatus: lockstep.HostStatus{ID: 2, Disk: disk}, Endpoint: "e"} },
		Checks: []Check{
			{Name: "local", Run: func(context.Context) error { return starting }, Alive: func(context.Context) error { return nil }},
			{Name: "quorum", Run: func(context.Context) error { return broken }},
		},
		Versions: map[string]string{"lockstep": "1"},
	})
	ask := func(path string) (int, string) {
		w := httptest.NewRecorder()
		h.ServeHTTP(w, httptest.NewRequest("GET", path, nil))
		return w.Code, strings.TrimSpace(w.Body.String())
	}
	cases := []struct {
		broken error
		disk   string
		path   string
		status int
		want   string
	}{
		{nil, "ok", "/readyz", 200, "ok"},
		{nil, "ok", "/health", 200, `{"health":"true","reason":""}`},
		{errors.New("no majority"), "ok", "/readyz", 503, "[+]local ok\n[-]quorum failed: no majority\nreadyz check failed"},
		{errors.New("no majority"), "ok", "/readyz?exclude=quorum", 200, "ok"},
		{errors.New("no majority"), "ok", "/readyz/quorum", 503, "[-]quorum failed: no majority\nreadyz check failed"},
		{errors.New("no majority"), "ok", "/livez", 200, "ok"},
		{errors.New("no majority"), "ok", "/livez?verbose", 200, "[+]local ok\nlivez check passed"},
		{errors.New("no majority"), "ok", "/livez/quorum", 404, "there is no check quorum"},
		{errors.New("no majority"), "ok", "/health", 503, `{"health":"false","reason":"quorum: no majority"}`},
		{errors.New("no majority"), "ok", "/health?serializable=true", 200, `{"health":"true","reason":""}`},
		{nil, "full", "/health", 503, `{"health":"false","reason":"ALARM NOSPACE"}`},
		{nil, "full", "/health?exclude=NOSPACE", 200, `{"health":"true","reason":""}`},
	}
	for _, c := range cases {
		broken, disk = c.broken, c.disk
		if status, body := ask(c.path); status != c.status || body != c.want {
			t.Errorf("%s with %v, disk %s: got %d %q, want %d %q", c.path, c.broken, c.disk, status, body, c.status, c.want)
		}
	}
	broken, starting = nil, errors.New("recovering")
	if status, body := ask("/readyz/local"); status != 503 || body != "[-]local failed: recovering\nreadyz check failed" {
		t.Errorf("/readyz/local of a host that starts: %d %q", status, body)
	}
	if status, body := ask("/livez"); status != 200 || body != "ok" {
		t.Errorf("/livez of a host that starts: %d %q", status, body)
	}
	if status, body := ask("/status"); status != 200 || !strings.Contains(body, `"id":2`) || !strings.Contains(body, `"endpoint":"e"`) {
		t.Errorf("/status: %d %s", status, body)
	}
}

// A decision is passed on as it was asked for, and one that says too little is refused.
func TestDecisionsArePassedOn(t *testing.T) {
	var asked []Decision
	h := Handler(Options{Status: func() Status { return Status{} }, Decide: func(_ context.Context, d Decision) error {
		asked = append(asked, d)
		return nil
	}})
	for path, want := range map[string]int{
		"/group/halt": 200, "/group/skip?at=7.1": 200, "/group/skip?at=7": 400, "/members/priority?id=2&priority=9": 200,
		"/members/priority?id=2": 400, "/members/priority?id=0&priority=1": 400, "/members/priority?priority=1": 400,
	} {
		w := httptest.NewRecorder()
		h.ServeHTTP(w, httptest.NewRequest(http.MethodPost, path, nil))
		if w.Code != want {
			t.Errorf("%s: %d, want %d: %s", path, w.Code, want, w.Body)
		}
	}
	for _, d := range []Decision{{Verb: "halt"}, {Verb: "skip", Skip: lockstep.Skip{Index: 7, Ordinal: 1}}, {Verb: "priority", Host: 2, Priority: 9}} {
		if !slices.Contains(asked, d) {
			t.Errorf("%+v is not among %+v", d, asked)
		}
	}
	if len(asked) != 3 {
		t.Errorf("asked for %+v", asked)
	}
}
