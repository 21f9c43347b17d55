package etcdapi

import (
	"bufio"
	"context"
	"encoding/base64"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

func TestGatewaySpeaksJSON(t *testing.T) {
	r := newRig(t)
	web := httptest.NewServer(r.Gateway())
	defer web.Close()
	b64 := func(s string) string { return base64.StdEncoding.EncodeToString([]byte(s)) }
	header := func(revision string) string {
		return `"header":{"cluster_id":"193","member_id":"1","revision":"` + revision + `","raft_term":"7"}`
	}
	cases := []struct {
		path, body string
		status     int
		want       string
	}{
		{"/v3/kv/put", `{"key":"` + b64("foo") + `","value":"` + b64("bar") + `"}`, 200, `{` + header("2") + `}`},
		{"/v3/kv/range", `{"key":"` + b64("foo") + `"}`, 200, `{` + header("2") +
			`,"kvs":[{"key":"` + b64("foo") + `","create_revision":"2","mod_revision":"2","version":"1","value":"` + b64("bar") + `"}],"count":"1"}`},
		{
			"/v3/kv/txn", `{"compare":[{"target":"CREATE","key":"` + b64("foo") + `","createRevision":"2"}],"success":[{"requestPut":{"key":"` + b64("x") + `"}}]}`, 200,
			`{` + header("3") + `,"succeeded":true,"responses":[{"response_put":{"header":{"revision":"3"}}}]}`,
		},
		{"/v3/kv/deleterange", `{"key":"` + b64("x") + `","unknown":1}`, 200, `{` + header("4") + `,"deleted":"1"}`},
		{"/v3/kv/compaction", `{"revision":"3"}`, 200, `{` + header("4") + `}`},
		{
			"/v3/cluster/member/list", `{}`, 200,
			`{"header":{"cluster_id":"193","member_id":"1","raft_term":"7"},"members":[{"ID":"1","name":"1","peerURLs":["http://127.0.0.1:2380"],"clientURLs":["http://127.0.0.1:2379"]}]}`,
		},
		{"/v3/kv/put", `{}`, 400, `{"error":"etcdserver: key is not provided","code":3,"message":"etcdserver: key is not provided"}`},
		{"/v3/kv/range", `{"key":`, 400, ""},
		{"/v3/lease/grant", `{}`, 501, `{"error":"etcdserver: Lockstep has no leases yet","code":12,"message":"etcdserver: Lockstep has no leases yet"}`},
		{"/v3/auth/user/list", `{}`, 501, ""},
	}
	for _, c := range cases {
		resp, err := http.Post(web.URL+c.path, "application/json", strings.NewReader(c.body))
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(resp.Body)
		_ = resp.Body.Close()
		if err != nil {
			t.Fatal(err)
		}
		got := strings.TrimSpace(strings.ReplaceAll(string(body), `": `, `":`)) // protojson varies its spaces on purpose
		got = strings.ReplaceAll(got, `, "`, `,"`)
		if resp.StatusCode != c.status || c.want != "" && got != c.want {
			t.Errorf("%s %s:\n got %d %s\nwant %d %s", c.path, c.body, resp.StatusCode, got, c.status, c.want)
		}
	}
	http.DefaultClient.CloseIdleConnections()
}

// TestGatewayBoundsWatchRequests sends a watch request that gRPC would refuse for its length, behind one
// that is taken.
func TestGatewayBoundsWatchRequests(t *testing.T) {
	r := newRig(t, func(o *Options) { o.MaxRequestBytes = 1 << 10 })
	web := httptest.NewServer(r.Gateway())
	defer web.Close()
	create := func(bytes int) string {
		return `{"create_request":{"key":"` + base64.StdEncoding.EncodeToString(make([]byte, bytes)) + `"}}`
	}
	body := create(1<<10) + create(requestOverheadBytes)
	req, err := http.NewRequestWithContext(testContext(t), "POST", web.URL+"/v3/watch", strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	said, err := io.ReadAll(resp.Body)
	if lines := strings.Split(string(said), "\n"); err != nil || len(lines) != 3 ||
		!strings.Contains(lines[0], `"created":true`) || !strings.Contains(lines[1], "etcdserver: request is too large") {
		t.Errorf("got %q, %v", said, err)
	}
	http.DefaultClient.CloseIdleConnections()
}

func TestGatewayWatches(t *testing.T) {
	r := newRig(t)
	web := httptest.NewServer(r.Gateway())
	defer web.Close()
	ctx, cancel := context.WithCancel(testContext(t))
	defer cancel()
	body := `{"create_request":{"key":"` + base64.StdEncoding.EncodeToString([]byte("a")) + `"}}`
	req, err := http.NewRequestWithContext(ctx, "POST", web.URL+"/v3/watch", strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	lines := bufio.NewScanner(resp.Body)
	if !lines.Scan() || !strings.Contains(lines.Text(), `"created":true`) {
		t.Fatalf("got %q, %v", lines.Text(), lines.Err())
	}
	r.put(t, "a", "1")
	if !lines.Scan() || !strings.Contains(lines.Text(), `"mod_revision":"2"`) {
		t.Fatalf("got %q, %v", lines.Text(), lines.Err())
	}
	cancel()
	http.DefaultClient.CloseIdleConnections()
}
