package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"os/exec"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
)

const requestTimeout = 5 * time.Second

// A crowd of clients writes the corpus in rounds, through Debian's etcdctl and Go's client at once, and
// reads what was acknowledged.
type crowd struct {
	*ledger
	cluster *trio
	files   []file
	etcdctl string
	next    atomic.Int64 // file to write, over all rounds
	wrong   chan error   // what a reader found
	wait    sync.WaitGroup
	stop    context.CancelFunc
}

// prefix of all keys that a crowd writes.
const prefix = "round/"

func startCrowd(t testing.TB, c *trio, files []file) *crowd {
	t.Helper()
	etcdctl, err := exec.LookPath("etcdctl")
	if err != nil {
		t.Fatalf("etcdctl is not here: install etcd-client: %v", err)
	}
	ctx, stop := context.WithCancel(t.Context())
	w := &crowd{ledger: newLedger(), cluster: c, files: files, etcdctl: etcdctl, wrong: make(chan error, 1), stop: stop}
	t.Cleanup(w.end)
	for i := range 2 {
		client := c.newClient()
		w.run(ctx, func() { w.write(fmt.Sprintf("client %d", i), func(e *entry) { putByClient(client, e) }) })
		w.run(ctx, func() { w.write(fmt.Sprintf("etcdctl %d", i), w.putByEtcdctl) })
	}
	reader := c.newClient()
	dice := rand.New(rand.NewPCG(*seed, 2))
	w.run(ctx, func() { w.read(reader, dice) })
	return w
}

// run repeats f until the crowd ends.
func (w *crowd) run(ctx context.Context, f func()) {
	w.wait.Add(1)
	go func() {
		defer w.wait.Done()
		for ctx.Err() == nil {
			f()
		}
	}()
}

// end lets every request finish.
func (w *crowd) end() {
	w.stop()
	w.wait.Wait()
}

// rounds is how many times the whole corpus was taken up.
func (w *crowd) rounds() int64 { return w.next.Load() / int64(len(w.files)) }

// write puts the next file.
func (w *crowd) write(who string, put func(*entry)) {
	n := w.next.Add(1) - 1
	f := w.files[n%int64(len(w.files))]
	e := entry{who: who, write: true, key: fmt.Sprintf("%s%d%s", prefix, n/int64(len(w.files)), f.path), value: f.content}
	e.begin = time.Now()
	put(&e)
	e.end = time.Now()
	w.add(e)
}

func putByClient(client *clientv3.Client, e *entry) {
	ctx, cancel := context.WithTimeout(context.Background(), requestTimeout)
	defer cancel()
	r, err := client.Put(ctx, e.key, string(e.value))
	if e.err = err; err == nil {
		e.revision = r.Header.Revision
	}
}

// putByEtcdctl gives the value on standard input, but for an empty one, which etcdctl refuses there.
func (w *crowd) putByEtcdctl(e *entry) {
	args := []string{"--endpoints", strings.Join(w.cluster.endpoints(), ","), "--command-timeout", requestTimeout.String(), "-w", "json", "put", e.key}
	if len(e.value) == 0 {
		args = append(args, "")
	}
	cmd := exec.Command(w.etcdctl, args...)
	var out, stderr bytes.Buffer
	cmd.Stdin, cmd.Stdout, cmd.Stderr = bytes.NewReader(e.value), &out, &stderr
	cmd.Env = append(environment(), "ETCDCTL_API=3")
	p, err := startProcess(cmd)
	if err != nil {
		e.err = err
		return
	}
	if !p.wait(2 * requestTimeout) {
		p.end()
	}
	if p.err != nil {
		e.err = fmt.Errorf("%w: %s", p.err, stderr.String())
		return
	}
	var answer struct{ Header struct{ Revision int64 } }
	if e.err = json.Unmarshal(out.Bytes(), &answer); e.err == nil && answer.Header.Revision == 0 {
		e.err = errors.New("etcdctl tells no revision: " + out.String())
	}
	e.revision = answer.Header.Revision
}

// read asks for something acknowledged, and must find it.
func (w *crowd) read(client *clientv3.Client, dice *rand.Rand) {
	known, ok := w.any(dice.IntN)
	e := entry{who: "reader", key: known.key, begin: time.Now()}
	ctx, cancel := context.WithTimeout(context.Background(), requestTimeout)
	defer cancel()
	if !ok {
		e.key = "nothing yet"
	}
	r, err := client.Get(ctx, e.key)
	e.err, e.end = err, time.Now()
	if err == nil {
		e.revision = r.Header.Revision
		if ok && (len(r.Kvs) != 1 || !bytes.Equal(r.Kvs[0].Value, known.value)) {
			select {
			case w.wrong <- fmt.Errorf("a linearizable read of %q, acknowledged at revision %d, finds %d keys at revision %d", e.key, known.revision, len(r.Kvs), e.revision):
			default:
			}
		}
	}
	w.add(e)
}
