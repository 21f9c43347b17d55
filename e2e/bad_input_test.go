package e2e

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// says runs the program and checks its exit code and what it says on stderr, which never is a panic.
func says(t *testing.T, code int, args []string, texts ...string) {
	t.Helper()
	r := lockstep(t, 20*time.Second, args...)
	command := "lockstep " + strings.Join(args, " ")
	if r.code != code {
		t.Errorf("%s: exit %d, want %d\n%s%s", command, r.code, code, r.out, r.stderr)
	}
	for _, text := range texts {
		if !strings.Contains(r.stderr, text) {
			t.Errorf("%s says\n%swant %q in it", command, r.stderr, text)
		}
	}
	if strings.Contains(r.stderr, "goroutine ") || !strings.HasPrefix(r.stderr, "error: ") {
		t.Errorf("%s says\n%swant an error for people", command, r.stderr)
	}
}

// TestWrongUsage gives flags that are wrong: exit code 2, an error that says what is, and no directory.
func TestWrongUsage(t *testing.T) {
	t.Parallel()
	data := filepath.Join(t.TempDir(), "data")
	for _, c := range []struct {
		args  string
		texts []string
	}{
		{"serve --bogus", []string{"unknown flag: --bogus", "See lockstep serve --help"}},
		{"nonsense", []string{`unknown command "nonsense"`, "See lockstep --help"}},
		{"serve --heartbeat soon", []string{`"soon"`, "heartbeat"}},
		{"serve --max-wal-bytes much", []string{"64MiB"}},
		{"serve --log verse", []string{`"verse"`, "text or json"}},
		{"serve --client 127.0.0.1", []string{"127.0.0.1", "host:port"}},
		{"serve --client 0.0.0.0:2379", []string{"plaintext is for loopback only", "--cert", "--insecure"}},
		{"serve --host 192.0.2.1:2380", []string{"loopback", "nsecure"}},
		{"serve --heartbeat 1s", []string{"--heartbeat"}},
		{"serve --founders 127.0.0.1:1", []string{"--founders", "127.0.0.1:2380"}},
		{"serve --file nowhere.yaml", []string{"nowhere.yaml", "no such file"}},
		{"up --replicas 9", []string{"--replicas is 9", "1 to 5"}},
		{"up --client-port 70000", []string{"--client-port is 70000", "65535"}},
		{"status --output verse", []string{`"verse"`, "table or json"}},
		{"get", []string{"Usage: lockstep get"}},
		{"sim run --seed many", []string{`"many"`}},
	} {
		args := strings.Fields(c.args)
		if args[0] == "serve" || args[0] == "up" {
			args = append(args, "--data", data)
		}
		says(t, 2, args, c.texts...)
	}
	if _, err := os.Stat(data); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("wrong usage left something at %s: %v", data, err)
	}
}

// TestBadYAML gives files that are wrong: the error has file, line, column, the line and carets.
func TestBadYAML(t *testing.T) {
	for _, c := range []struct{ text, want string }{
		{"data: d\nheartbeat_ms: 50\n", ":2:1: unknown option \"heartbeat_ms\"; did you mean \"heartbeat\"? It takes a duration: 100ms\n       2 | heartbeat_ms: 50\n         | ^^^^^^^^^^^^\n"},
		{"data: d\nheartbeat: fast\n", ":2:12: option \"heartbeat\" has a value of another kind. It takes a duration: 100ms\n       2 | heartbeat: fast\n         |            ^^^^\n"},
		{"data: d\ndata: e\n", ":2:1: "},
		{"data: d\n  client: e\n", ":1:7: "},
		{"data: [d\n", ":1:7: "},
		{"- data\n", ":1:1: "},
		{"data: \"d\n", ":1:7: "},
		{"founders: {a: b}\n", ":1:"},
		{"insecure: perhaps\n", ":1:11: option \"insecure\" has a value of another kind. It takes true or false"},
		{"\x00\xff\xfe", ":1:"},
	} {
		file := filepath.Join(t.TempDir(), "lockstep.yaml")
		if err := os.WriteFile(file, []byte(c.text), 0o600); err != nil {
			t.Fatal(err)
		}
		says(t, 2, []string{"serve", "--file", file}, file+c.want, "^")
	}
}

// TestPortInUse starts on ports that another process has: the error names it, and nothing is written.
func TestPortInUse(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	free := freePorts(t, 1)[0]
	_, port, err := net.SplitHostPort(taken.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	used := fmt.Sprintf("port %s is in use by pid %d", port, os.Getpid())
	data := filepath.Join(t.TempDir(), "data")
	says(t, 1, []string{"serve", "--data", data, "--client", taken.Addr().String(), "--host", free}, used, "Stop it, or give lockstep serve --client another port")
	says(t, 1, []string{"serve", "--data", data, "--client", free, "--host", taken.Addr().String()}, used, "Stop it, or give lockstep serve --host another port")
	says(t, 1, []string{"up", "--data", data, "--replicas", "1", "--client-port", port}, used, "Stop it, or give lockstep up --client-port")
}

// TestDirectoryInUse starts a second process on a directory: it is refused, and the first serves on.
func TestDirectoryInUse(t *testing.T) {
	c := startTrio(t, 1)
	r := c.replicas[0]
	ports := freePorts(t, 2)
	says(t, 1, []string{"serve", "--data", r.dir, "--client", ports[0], "--host", ports[1]},
		fmt.Sprintf("data directory %s is in use by pid %d", r.dir, r.process.pid()), "One directory serves one process")
	c.serving(5 * time.Second)
}

// TestDirectoryOfAnotherCluster starts a replica with the directory of another cluster, which once had
// the same address: it says so, both clusters keep what they have, and neither takes the other's in.
func TestDirectoryOfAnotherCluster(t *testing.T) {
	t.Parallel()
	mine := startTrio(t, 3)
	victim := mine.replicas[2]
	stranger := *victim // a cluster of its own at the same address
	stranger.dir, stranger.log = filepath.Join(t.TempDir(), "other"), victim.log+".other"
	stranger.args = []string{"serve", "--data", stranger.dir, "--client", stranger.client, "--host", stranger.host, "--founders", stranger.host}
	other := &trio{replicas: []*replica{&stranger}, t: t}
	t.Cleanup(other.stop)

	putWhose(t, mine, "mine")
	victim.kill(t)
	stranger.start(t)
	other.serving(10 * time.Second)
	putWhose(t, other, "other")
	stranger.kill(t)

	confused := stranger
	confused.args = append(append([]string(nil), stranger.args[:len(stranger.args)-1]...), victim.args[len(victim.args)-1])
	confused.start(t)
	t.Cleanup(confused.process.end)
	within(t, 10*time.Second, "say that the directory is of another cluster", func(context.Context) error {
		if !confused.said("of another cluster") && !confused.said("belongs to cluster") {
			return errors.New("it says nothing of it:\n" + confused.tail())
		}
		return nil
	})
	putWhose(t, mine, "still mine")
	confused.process.end()

	victim.start(t)
	within(t, 10*time.Second, "have all three serve", func(ctx context.Context) error { _, err := victim.hash(ctx); return err })
	mine.converge(20 * time.Second)
	holdsWhose(t, mine, "still mine")
	victim.kill(t)
	stranger.start(t)
	other.serving(10 * time.Second)
	holdsWhose(t, other, "other")
}

func putWhose(t *testing.T, c *trio, value string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	if _, err := c.newClient().Put(ctx, "whose", value); err != nil {
		t.Fatal(err)
	}
}

func holdsWhose(t *testing.T, c *trio, want string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	r, err := c.newClient().Get(ctx, "whose")
	if err != nil || len(r.Kvs) != 1 || string(r.Kvs[0].Value) != want {
		t.Errorf("%v, %v, want %q", r, err, want)
	}
}

// TestDirectoryOfAnotherHost starts a replica with another's directory: it is refused at once.
func TestDirectoryOfAnotherHost(t *testing.T) {
	t.Parallel()
	c := startTrio(t, 3)
	one, two := c.replicas[0], c.replicas[1]
	one.kill(t)
	two.kill(t)
	args := append([]string(nil), two.args...)
	args[2] = one.dir
	says(t, 1, args, one.dir+" belongs to the host at "+one.host+", not "+two.host, "Point it at its own directory")
	one.start(t)
	two.start(t)
	c.serving(10 * time.Second)
}

// TestGarbageOnPorts sends what no client and no host sends: the replica serves on, in bounded memory.
func TestGarbageOnPorts(t *testing.T) {
	t.Parallel()
	c := startTrio(t, 3)
	r := c.replicas[0]
	before := r.memory(t)
	dice := rand.New(rand.NewPCG(*seed, 3))
	random := func(n int) string {
		b := make([]byte, n)
		for i := range b {
			b[i] = byte(dice.Uint32())
		}
		return string(b)
	}
	for _, addr := range []string{r.host, r.client} {
		for _, garbage := range []string{
			"", "x", "GET / HTTP/1.1\r\n\r\n", "GET /status HTTP/1.1\r\nHost: " + strings.Repeat("h", 1<<20), "\x16\x03\x01\x02\x00\x01\x00\x01\xfc",
			"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + random(1<<12), strings.Repeat("\xff", 1<<16), strings.Repeat("\x00", 1<<16), random(1 << 20), random(1 << 10),
			"LSTP" + strings.Repeat("\xff", 60),
		} {
			send(t, addr, garbage)
		}
	}
	c.serving(10 * time.Second)
	if after := r.memory(t); after > before+64<<20 {
		t.Errorf("memory grew from %d to %d bytes", before, after)
	}
	if !r.said("127.0.0.1:") {
		t.Error("the log tells of no stranger")
	}
	c.converge(10 * time.Second)
}

// send writes garbage and reads until the other side has had enough, at most half a second.
func send(t *testing.T, addr, garbage string) {
	t.Helper()
	conn, err := net.DialTimeout("tcp", addr, 5*time.Second)
	if err != nil {
		t.Fatalf("dial %s: %v", addr, err)
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(500 * time.Millisecond))
	_, _ = io.WriteString(conn, garbage)
	_, _ = io.Copy(io.Discard, conn)
}

// TestEmptyAndLargeRequests sends them through the command line and through etcd's client.
func TestEmptyAndLargeRequests(t *testing.T) {
	t.Parallel()
	c := startTrio(t, 1)
	endpoint := c.replicas[0].client
	says(t, 5, []string{"put", "", "x", "--endpoints", endpoint}, "key is not provided")
	says(t, 5, []string{"get", "", "--endpoints", endpoint}, "key is not provided")
	says(t, 5, []string{"del", "", "--endpoints", endpoint}, "key is not provided")
	kv := pb.NewKVClient(dial(t, endpoint))
	for _, n := range []int{3 << 19, 2 << 20, 8 << 20} {
		_, err := kv.Put(t.Context(), &pb.PutRequest{Key: key("k"), Value: make([]byte, n)})
		if code := status.Code(err); code != codes.InvalidArgument && code != codes.ResourceExhausted {
			t.Errorf("put of %d bytes: %v", n, err)
		}
	}
	if r, err := kv.Range(t.Context(), &pb.RangeRequest{Key: []byte{0}, RangeEnd: []byte{0}}); err != nil || r.Count != 0 {
		t.Errorf("the store holds %v, %v, want nothing", r, err)
	}
}

// TestWipedReplicaGetsNoVote empties a voter's directory and starts it with the same flags: it says that
// it gets no vote and why, and with another voter down there is no majority.
func TestWipedReplicaGetsNoVote(t *testing.T) {
	t.Parallel()
	c := startTrio(t, 3)
	wiped, down := c.replicas[2], c.replicas[1]
	wiped.kill(t)
	if err := os.RemoveAll(wiped.dir); err != nil {
		t.Fatal(err)
	}
	wiped.start(t)
	within(t, 10*time.Second, "say that it gets no vote", func(context.Context) error {
		if !wiped.said("no vote") {
			return errors.New("it does not say so:\n" + wiped.tail())
		}
		return nil
	})
	c.serving(5 * time.Second)
	down.kill(t)
	client := c.newClient(c.replicas[0])
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
	defer cancel()
	if r, err := client.Put(ctx, "key", "value"); err == nil {
		t.Errorf("a put is acknowledged with one voter of three, and a wiped one: %v", r)
	}
	down.start(t)
	c.serving(10 * time.Second)
}
