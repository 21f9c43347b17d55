package cli

import (
	"bytes"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

// A replica that dies again and again is started after 1 s, then after twice as long each time, at most
// 10 s; one that ran for longer than that begins anew.
func TestRestartsBackOffFromOneSecondToTen(t *testing.T) {
	var r replica
	var pauses []time.Duration
	now := time.Hour
	for range 6 {
		r.began = now
		now += 100 * time.Millisecond
		pauses = append(pauses, r.pause(now))
		now += pauses[len(pauses)-1]
	}
	want := []time.Duration{time.Second, 2 * time.Second, 4 * time.Second, 8 * time.Second, 10 * time.Second, 10 * time.Second}
	if !slices.Equal(pauses, want) {
		t.Errorf("pauses %v, want %v", pauses, want)
	}
	r.began = now
	if p := r.pause(now + 11*time.Second); p != time.Second {
		t.Errorf("pause after a run of 11 s: %v, want 1s", p)
	}
}

// A person is told every process, where the data is, how to stop, and what to try.
func TestReadyTellsAPersonWhatToTry(t *testing.T) {
	self, err := os.FindProcess(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	p := Program{Out: &out}
	g := &pack{replicas: []*replica{
		{n: 0, client: "127.0.0.1:2379"},
		{n: 1, client: "127.0.0.1:22379", process: self, leads: true},
	}}
	p.sayReady(g, &upOptions{data: "lockstep-data", clientPort: 2379}, 600*time.Millisecond, true)
	pid := strconv.Itoa(os.Getpid())
	for _, want := range []string{
		"✓ 1  127.0.0.1:2379", "✓ 2  127.0.0.1:22379", "pid " + pid, "leader",
		"ready in 0.6 s: a write was committed. Data in ./lockstep-data, kept.    stop: Ctrl-C",
		"\n" + os.Args[0] + " put hello world    # or: etcdctl put hello world\n" + os.Args[0] + " status\nkill -9 " + pid + " && " + os.Args[0] + " get hello\n",
	} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("does not say %q:\n%s", want, out.String())
		}
	}
	for data, want := range map[string]string{"/srv/keys": "Data in /srv/keys, kept", "../keys": "Data in ../keys, kept", "./keys": "Data in ./keys, kept"} {
		out.Reset()
		p.sayReady(g, &upOptions{data: data, clientPort: 2379}, 0, true)
		if !strings.Contains(out.String(), want) {
			t.Errorf("does not say %q:\n%s", want, out.String())
		}
	}
	out.Reset()
	p.sayReady(g, &upOptions{data: "lockstep-data", clientPort: 3379}, 0, true)
	if want := "etcdctl --endpoints 127.0.0.1:2379,127.0.0.1:22379 put hello world"; !strings.Contains(out.String(), want) {
		t.Errorf("other ports are not named in what to try:\n%s", out.String())
	}
}
