package cli

import (
	"bytes"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/lockstep-rsm/lockstep/env"
)

// An operator's decision that was sent and not answered, or whose end the server does not know, is unknown; one that no
// server heard, or that was refused, is not done. All of it takes one timeout, however many servers hang.
func TestDecisionsSayWhatIsKnown(t *testing.T) {
	over := make(chan struct{})
	hang := http.HandlerFunc(func(http.ResponseWriter, *http.Request) { <-over })
	says := func(answer string) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte(answer)) })
	}
	unknown, refused := says(`{"done":false,"error":"lost","outcome":"unknown"}`), says(`{"done":false,"error":"refused","outcome":"not_committed"}`)
	for name, c := range map[string]struct {
		servers []http.Handler
		code    int
		says    string
	}{
		"nobody":                {nil, exitNotDone, "connection refused. Is one running? Try lockstep up, or give --endpoints"},
		"refused":               {[]http.Handler{refused}, exitNotDone, "refused"},
		"an older server":       {[]http.Handler{http.NotFoundHandler()}, exitNotDone, "it does not know this request: is it lockstep serve, and as new as this program?"},
		"lost":                  {[]http.Handler{unknown}, exitUnknown, "It may have been done, or may yet be: lockstep status tells"},
		"lost, then refused":    {[]http.Handler{unknown, refused}, exitUnknown, "It may have been done"},
		"no answer, three of 3": {[]http.Handler{hang, hang, hang}, exitUnknown, "no answer within 1s. It may have been done"},
		"lost, then done":       {[]http.Handler{unknown, says(`{"done":true}`)}, exitDone, "writes are stopped"},
	} {
		var out bytes.Buffer
		p := Program{Out: &out, Err: &out, env: env.OS(), timeout: time.Second, endpoints: []string{"127.0.0.1:1"}}
		for _, h := range c.servers {
			s := httptest.NewServer(h)
			t.Cleanup(s.Close)
			p.endpoints = append(p.endpoints, strings.TrimPrefix(s.URL, "http://"))
		}
		began := time.Now()
		verb := p.groupHalt()
		verb.SetArgs([]string{"--yes"})
		verb.SilenceErrors, verb.SilenceUsage = true, true
		err := verb.ExecuteContext(t.Context())
		if got := exitCode(err); got != c.code || !strings.Contains(out.String()+errorText(err), c.says) {
			t.Errorf("%s: exit code %d, want %d: %s%v", name, got, c.code, out.String(), err)
		}
		if took := time.Since(began); took > 3*time.Second {
			t.Errorf("%s: took %v, --timeout is %v", name, took, p.timeout)
		}
	}
	close(over)
}
