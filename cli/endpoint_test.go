package cli

import (
	"bytes"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/lockstep-rsm/lockstep/env"
)

// A server that does not speak as it is spoken to is named with what it speaks, long before --timeout.
func TestWrongEndpointSaysWhatSpeaksThere(t *testing.T) {
	handler := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "{}") })
	over, under := httptest.NewTLSServer(handler), httptest.NewServer(handler)
	defer over.Close()
	defer under.Close()
	hosts, err := net.Listen("tcp", "127.0.0.1:0") // takes a frame, and closes what sends none
	if err != nil {
		t.Fatal(err)
	}
	defer hosts.Close()
	go func() {
		for {
			c, err := hosts.Accept()
			if err != nil {
				return
			}
			_, _ = io.ReadFull(c, make([]byte, 16))
			_ = c.(*net.TCPConn).SetLinger(0)
			_ = c.Close()
		}
	}()
	for endpoint, want := range map[string]string{
		"https://" + under.Listener.Addr().String(): "does not speak TLS: use http://",
		"http://" + over.Listener.Addr().String():   "speaks TLS: use https://",
		"https://" + over.Listener.Addr().String():  "is not trusted here",
		hosts.Addr().String():                       "that may be a host's port",
	} {
		p := Program{env: env.OS(), timeout: time.Minute, endpoints: []string{endpoint}}
		began := time.Now()
		_, err := p.connect(t.Context())
		if took := time.Since(began); err == nil || !strings.Contains(err.Error(), want) || took > 30*time.Second {
			t.Errorf("get from %s, after %v: %v, want %q", endpoint, took, err, want)
		}
		if rows := p.allStatus(t.Context()); len(rows) != 1 || !strings.Contains(rows[0].Why, want) {
			t.Errorf("status of %s: %+v, want %q", endpoint, rows, want)
		}
	}
}

func TestEndpointWithoutPortIsWrongUsage(t *testing.T) {
	for _, endpoint := range []string{"127.0.0.1", "http://localhost", "127.0.0.1:"} {
		var said bytes.Buffer
		p := Program{Version: "test", Out: io.Discard, Err: &said, Getenv: func(string) string { return "" }}
		if code := p.Run([]string{"get", "a", "--endpoints", endpoint}); code != exitUsage || !strings.Contains(said.String(), "It takes host:port") {
			t.Errorf("--endpoints %s: exit code %d, %s", endpoint, code, said.String())
		}
	}
}
