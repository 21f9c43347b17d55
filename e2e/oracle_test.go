package e2e

import (
	"context"
	"flag"
	"fmt"
	"os"
	"testing"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"google.golang.org/protobuf/proto"
)

var against = flag.String("against", "", "ask the lockstep at this address, which must be fresh, instead of starting one")

const (
	oracleRequests = 20_000
	oracleWatches  = 20
	maxDifferences = 5 // then the test ends; the two stores may have come apart
)

// TestOracle sends the same drawn requests and watches to etcd and to one replica of Lockstep: all
// answers are equal, field by field, but for ids.
func TestOracle(t *testing.T) {
	t.Parallel()
	requests := oracleRequests
	if *long {
		requests *= 5
	}
	playOracle(t, newPair(t, oneReplica(t)), requests)
}

// TestOracleThreeReplicas is TestOracle with each request to another of three replicas.
func TestOracleThreeReplicas(t *testing.T) {
	t.Parallel()
	requests := 2_000
	if *long {
		requests = oracleRequests
	}
	playOracle(t, newPair(t, threeReplicas(t)...), requests)
}

// An oracle is a game of requests between the two.
type oracle struct {
	pair
	*draws
	watches     []*twin
	differences int
	kinds       map[string]int // of answers, to show that the draws reach them
}

func playOracle(t *testing.T, p pair, requests int) {
	o := &oracle{pair: p, draws: newDraws(*seed), kinds: map[string]int{}}
	t.Logf("again: go test -run '^%s$' -seed %d", t.Name(), *seed)
	for i := range requests {
		if i%(requests/oracleWatches) == 0 {
			o.addWatch(t)
		}
		request := o.request()
		if len(p.lockstep.conns) > 1 {
			linearizable(request)
		}
		if _, ok := request.(*pb.CompactionRequest); ok {
			// etcd looks previous values up when it sends: they would be gone on one side alone. If they
			// go while it looks, its process ends.
			for _, w := range o.watches {
				o.synced(t, w)
			}
		}
		want, err := o.ask(t.Context(), request)
		o.note(request, want)
		o.tally(request, want)
		if err != nil {
			o.differs(t, fmt.Errorf("request %d of seed %d: %w", i, *seed, err))
		}
	}
	o.finish(t)
	t.Logf("%d requests, revision %d, compacted %d; answers by kind: %v", requests, o.revision, o.compacted, o.kinds)
}

func (o *oracle) differs(t *testing.T, err error) {
	t.Error(err)
	if o.differences++; o.differences >= maxDifferences {
		t.Fatalf("%d differences: the test ends here", o.differences)
	}
}

func (o *oracle) tally(request proto.Message, a answer) {
	kind := fmt.Sprintf("%T", request)[len("*etcdserverpb."):]
	if a.err != nil {
		kind = a.String()
	}
	o.kinds[kind]++
}

// linearizable makes a request ask for the newest state: the others of three replicas may be behind. A
// transaction without operations is a read that says serializable, in etcd too.
func linearizable(request proto.Message) {
	switch r := request.(type) {
	case *pb.RangeRequest:
		r.Serializable = false
	case *pb.TxnRequest:
		if len(r.Success)+len(r.Failure) == 0 {
			r.Success = append(r.Success, get("a"))
		}
		for _, op := range append(append([]*pb.RequestOp{}, r.Success...), r.Failure...) {
			if op.GetRequestRange() != nil {
				linearizable(op.GetRequestRange())
			}
			if op.GetRequestTxn() != nil {
				linearizable(op.GetRequestTxn())
			}
		}
	}
}

// addWatch begins one of the watches: on a stream of its own, or beside the last.
func (o *oracle) addWatch(t *testing.T) {
	if len(o.pair.lockstep.conns) > 1 { // the replica that watches must be as far as etcd
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		if _, err := pb.NewKVClient(o.pair.lockstep.conns[0]).Range(ctx, &pb.RangeRequest{Key: []byte("a")}); err != nil {
			t.Fatal(err)
		}
	}
	r := &pb.WatchCreateRequest{Key: o.key(), PrevKv: o.one(2), Fragment: o.one(4), ProgressNotify: o.one(4)}
	if r.RangeEnd = o.end(r.Key); o.one(2) {
		r.Key, r.RangeEnd = []byte{0}, []byte{0}
	}
	if o.one(2) {
		r.StartRevision = o.draws.at()
	}
	if o.one(4) {
		r.Filters = append(r.Filters, pb.WatchCreateRequest_FilterType(o.IntN(2)))
	}
	if o.one(4) {
		r.WatchId = 1 + o.Int64N(3)
	}
	// Beside a watch with a lost start, or one that has yet to begin, etcd does not say that the stream is
	// up to date.
	alone := r.StartRevision != 0 && r.StartRevision < o.compacted || r.StartRevision > o.revision
	var w *twin
	if n := len(o.watches); n > 0 && !alone && o.one(3) && o.watches[n-1].feeds[0].watches() && o.watches[n-1].begins() <= o.revision {
		w = o.watches[n-1]
	} else {
		w = o.pair.watch(t)
		o.watches = append(o.watches, w)
	}
	w.create(t, r)
	o.synced(t, w)
}

// synced waits until both have told w all there is. While a watch begins in the future, etcd does not
// answer the question.
func (o *oracle) synced(t *testing.T, w *twin) {
	t.Helper()
	if w.begins() > o.revision {
		return
	}
	w.each(t, "synchronise watch", func(ctx context.Context, f *feed) error { return f.sync(ctx, o.revision) })
}

// finish compares what the watches saw, and both stores as a whole.
func (o *oracle) finish(t *testing.T) {
	events := 0
	for _, w := range o.watches {
		o.synced(t, w)
		if err := w.differ(); err != nil {
			o.differs(t, fmt.Errorf("seed %d: %w", *seed, err))
		}
		told, err := w.feeds[1].stories()
		if err != nil {
			o.differs(t, err)
		}
		for _, s := range told {
			events += len(s.events)
		}
	}
	if _, err := o.ask(t.Context(), &pb.RangeRequest{Key: []byte{0}, RangeEnd: []byte{0}}); err != nil {
		o.differs(t, err)
	}
	t.Logf("%d watch streams, %d events", len(o.watches), events)
}

// oneReplica starts a cluster of one for the oracle, and returns its address.
func oneReplica(t testing.TB) string {
	t.Helper()
	if *against != "" {
		return *against
	}
	return startTrioIn(t, 1, memory(t)).replicas[0].client
}

// memory is a directory whose syncs cost nothing, where there is one: etcd does not sync here either.
func memory(t testing.TB) string {
	t.Helper()
	dir, err := os.MkdirTemp("/dev/shm", "lockstep-e2e-")
	if err != nil {
		return t.TempDir()
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	return dir
}

// threeReplicas is oneReplica for three.
func threeReplicas(t testing.TB) []string {
	t.Helper()
	return startTrioIn(t, 3, memory(t)).endpoints()
}
