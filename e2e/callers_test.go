package e2e

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"google.golang.org/grpc"
	"google.golang.org/grpc/connectivity"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
)

// callers are clients in places, some of them beside a replica, and cut off with it. Each draws a replica,
// a key and a request, and notes what it is told. Every third only reads, and only from the replica beside it:
// who writes to one that is cut off waits, and does not see what it answers meanwhile. They write each key for a while and then take others, so
// that the judge's search stays short.
type callers struct {
	h     *history
	stale bool // read as etcd's serializable reads do: the judge must not accept these

	mu      sync.Mutex
	targets []*replica // that are of the cluster now

	cancel  context.CancelFunc
	tasks   sync.WaitGroup
	refused atomic.Int64 // tries that found no connection: nothing was asked
}

const (
	callTime  = time.Second
	dialTime  = 300 * time.Millisecond
	callPause = 2 * time.Millisecond // between two calls of one client
	keysEach  = 8                    // keys at a time
	keysFor   = 10 * time.Second
)

func startCallers(seed uint64, stale bool, targets []*replica, at ...*place) *callers {
	ctx, cancel := context.WithCancel(context.Background())
	c := &callers{h: newHistory(), stale: stale, targets: targets, cancel: cancel}
	for i, p := range at {
		w := &caller{callers: c, id: i, reads: i%3 == 0, at: p, rng: rand.New(rand.NewPCG(seed, uint64(i)+1)), conns: map[string]*grpc.ClientConn{}, last: map[string]string{}}
		c.tasks.Go(func() { w.work(ctx) })
	}
	return c
}

// end waits for all calls.
func (c *callers) end() {
	c.cancel()
	c.tasks.Wait()
}

func (c *callers) serve(targets []*replica) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.targets = targets
}

// key is one of those of the moment.
func (c *callers) key(n int) string {
	return fmt.Sprintf("%d-%d", time.Since(c.h.began)/keysFor, n)
}

// A caller is one client.
type caller struct {
	*callers
	id    int
	reads bool
	at    *place
	rng   *rand.Rand
	conns map[string]*grpc.ClientConn
	last  map[string]string // what it knows of keys, to expect in swaps
	n     int
}

func (w *caller) work(ctx context.Context) {
	tick := time.NewTicker(callPause)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			w.call(ctx)
		case <-ctx.Done():
			for _, c := range w.conns {
				_ = c.Close()
			}
			return
		}
	}
}

// target draws a replica, mostly the one beside.
func (w *caller) target() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, r := range w.targets {
		if r.at == w.at && (w.reads || w.rng.IntN(3) > 0) {
			return r.client
		}
	}
	return w.targets[w.rng.IntN(len(w.targets))].client
}

// conn gives a connection that stands: a call that is sent on one that does not ends unknown for nothing.
func (w *caller) conn(ctx context.Context, addr string) (*grpc.ClientConn, error) {
	if c := w.conns[addr]; c != nil {
		if c.GetState() == connectivity.Ready {
			return c, nil
		}
		_ = c.Close()
		delete(w.conns, addr)
	}
	c, err := grpc.NewClient("passthrough:///"+addr, grpc.WithTransportCredentials(insecure.NewCredentials()), grpc.WithContextDialer(w.at.dial))
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, dialTime)
	defer cancel()
	c.Connect()
	for state := c.GetState(); state != connectivity.Ready; state = c.GetState() {
		if state == connectivity.TransientFailure || !c.WaitForStateChange(ctx, state) {
			_ = c.Close()
			return nil, errors.New("no connection")
		}
	}
	w.conns[addr] = c
	return c, nil
}

// call makes one call and notes it.
func (w *caller) call(ctx context.Context) {
	addr, key := w.target(), w.key(w.rng.IntN(keysEach))
	conn, err := w.conn(ctx, addr)
	if err != nil {
		w.refused.Add(1)
		return
	}
	w.n++
	in := step{value: fmt.Sprintf("%d.%d.%s", w.id, w.n, strings.Repeat("x", w.rng.IntN(400)))}
	switch n := w.rng.IntN(10); {
	case n < 4 || w.reads:
		in = step{}
	case n < 6:
		in.put = true
	case n < 7:
		in = step{erase: true}
	default:
		in.swap, in.expect = true, w.last[key]
	}
	began := time.Now()
	out, revision, never, err := ask(conn, key, in, w.stale) // not bound to ctx: what is asked is waited for
	ended := time.Now()
	w.h.add(w.id, key, began, ended, in, out, never)
	if err != nil {
		_ = conn.Close()
		delete(w.conns, addr)
		return
	}
	w.h.seen.add(entry{who: addr, key: key, write: in != step{}, begin: began, end: ended, revision: revision})
	w.last[key] = out.has
	if in.put || in.swap && out.done {
		w.last[key] = in.value
	}
	if in.erase {
		w.last[key] = ""
	}
}

// ask sends one request. Never: the server says that the write is not done and never will be.
func ask(conn *grpc.ClientConn, key string, in step, stale bool) (out told, revision int64, never bool, err error) {
	ctx, cancel := context.WithTimeout(context.Background(), callTime)
	defer cancel()
	var trailer metadata.MD
	kv, k, opt := pb.NewKVClient(conn), []byte(key), grpc.Trailer(&trailer)
	var header *pb.ResponseHeader
	switch {
	case in.swap:
		compare := &pb.Compare{Key: k, Target: pb.Compare_VALUE, TargetUnion: &pb.Compare_Value{Value: []byte(in.expect)}}
		if in.expect == "" {
			compare = &pb.Compare{Key: k, Target: pb.Compare_VERSION, TargetUnion: &pb.Compare_Version{}}
		}
		get := &pb.RequestOp{Request: &pb.RequestOp_RequestRange{RequestRange: &pb.RangeRequest{Key: k}}}
		var r *pb.TxnResponse
		if r, err = kv.Txn(ctx, &pb.TxnRequest{Compare: []*pb.Compare{compare}, Success: []*pb.RequestOp{put(key, in.value)}, Failure: []*pb.RequestOp{get}}, opt); err == nil {
			header, out = r.Header, told{known: true, done: r.Succeeded, blind: r.Succeeded}
			if !r.Succeeded {
				out.has = only(r.Responses[0].GetResponseRange().Kvs)
			}
		}
	case in.put:
		var r *pb.PutResponse
		if r, err = kv.Put(ctx, &pb.PutRequest{Key: k, Value: []byte(in.value), PrevKv: true}, opt); err == nil {
			header, out = r.Header, told{known: true, has: string(r.PrevKv.GetValue())}
		}
	case in.erase:
		var r *pb.DeleteRangeResponse
		if r, err = kv.DeleteRange(ctx, &pb.DeleteRangeRequest{Key: k, PrevKv: true}, opt); err == nil {
			header, out = r.Header, told{known: true, has: only(r.PrevKvs)}
		}
	default:
		var r *pb.RangeResponse
		if r, err = kv.Range(ctx, &pb.RangeRequest{Key: k, Serializable: stale}, opt); err == nil {
			header, out = r.Header, told{known: true, has: only(r.Kvs)}
		}
	}
	if err != nil {
		for _, outcome := range trailer.Get("lockstep-outcome") {
			never = never || outcome == "not_committed" || outcome == "refused"
		}
		return told{}, 0, never, err
	}
	return out, header.Revision, false, nil
}

// only is the value of one pair, or of none.
func only[P interface{ GetValue() []byte }](kvs []P) string {
	if len(kvs) == 0 {
		return ""
	}
	return string(kvs[0].GetValue())
}

// readAll reads every key through conn, so that what was lost since it was acknowledged is seen.
func (c *callers) readAll(conn *grpc.ClientConn) error {
	for _, key := range c.h.keys() {
		began := time.Now()
		out, revision, _, err := ask(conn, key, step{}, false)
		if err != nil {
			return fmt.Errorf("read %s: %w", key, err)
		}
		c.h.add(-1, key, began, time.Now(), step{}, out, false)
		c.h.seen.add(entry{who: "the last read", key: key, begin: began, end: time.Now(), revision: revision})
	}
	return nil
}
