package e2e

import (
	"bytes"
	"math/rand/v2"
	"slices"
	"strconv"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	clientv3 "go.etcd.io/etcd/client/v3"
	"google.golang.org/protobuf/proto"
)

// draws makes requests: every option, few keys so that they meet, and what no client should send.
type draws struct {
	*rand.Rand
	revision, compacted int64 // of the store, so that revisions are near the edges
	serial              int   // makes values unlike each other

	// mixed are revisions of transactions that deleted and put. etcd loses a key that was deleted and
	// made again in the very revision that is compacted, and ends its process when it is asked for it.
	mixed map[int64]bool
}

func newDraws(seed uint64) *draws {
	return &draws{Rand: rand.New(rand.NewPCG(seed, 1)), revision: 1, mixed: map[int64]bool{}}
}

// one reports true once in n times.
func (d *draws) one(n int) bool { return d.IntN(n) == 0 }

// of picks one of its arguments.
func of[T any](d *draws, list ...T) T { return list[d.IntN(len(list))] }

var fewKeys = [][]byte{
	[]byte("a"), []byte("b"), []byte("c"), []byte("d"), []byte("aa"), []byte("ab"), []byte("ab/1"), []byte("ab/2"),
	[]byte("ab/3"), []byte("b/"), []byte("b0"),
	{0},
	{0, 0},
	{0xff},
	{0xff, 0xff},
	{'a', 0xff},
	{'a', 0},
	bytes.Repeat([]byte("long"), 80),
}

// key is mostly one of a few.
func (d *draws) key() []byte {
	switch {
	case d.one(60):
		return nil
	case d.one(10):
		k := make([]byte, 1+d.IntN(3))
		for i := range k {
			k[i] = of[byte](d, 'a', 'b', 0, 0xff)
		}
		return k
	}
	return fewKeys[d.IntN(len(fewKeys))]
}

// end is the range_end of a request for key: none, everything from it, a prefix, or whatever.
func (d *draws) end(key []byte) []byte {
	switch {
	case d.one(2):
		return nil
	case d.one(3):
		return []byte{0}
	case d.one(2):
		return []byte(clientv3.GetPrefixRangeEnd(string(key)))
	}
	return d.key()
}

func (d *draws) value() []byte {
	d.serial++
	text := strconv.Itoa(d.serial)
	switch {
	case d.one(8):
		return nil
	case d.one(100):
		return bytes.Repeat([]byte(text), 2000)
	case d.one(4):
		return []byte(strconv.Itoa(d.IntN(5)))
	}
	return []byte(text)
}

// at is a revision, often one at an edge.
func (d *draws) at() int64 {
	switch {
	case d.one(3):
		return 0
	case d.one(20):
		return -1 - d.Int64N(3)
	case d.one(4):
		return d.compacted - 1 + d.Int64N(3)
	case d.one(4):
		return d.revision - 1 + d.Int64N(3)
	}
	return d.compacted + d.Int64N(d.revision-d.compacted+3)
}

// bound is a filter's revision: mostly none.
func (d *draws) bound() int64 {
	if !d.one(6) {
		return 0
	}
	return d.at()
}

func (d *draws) rangeRequest() *pb.RangeRequest {
	r := &pb.RangeRequest{Key: d.key(), Serializable: d.one(4), KeysOnly: d.one(5), CountOnly: d.one(6)}
	r.RangeEnd = d.end(r.Key)
	if d.one(3) {
		r.Limit = d.Int64N(6) - 1
	}
	if d.one(2) {
		r.Revision = d.at()
	}
	if d.one(3) {
		r.SortOrder = pb.RangeRequest_SortOrder(d.IntN(3))
		r.SortTarget = pb.RangeRequest_SortTarget(d.IntN(5))
	}
	if d.one(100) {
		r.SortOrder = pb.RangeRequest_SortOrder(3 + d.IntN(3))
	}
	if d.one(100) {
		r.SortTarget = pb.RangeRequest_SortTarget(5 + d.IntN(3))
	}
	r.MinModRevision, r.MaxModRevision = d.bound(), d.bound()
	r.MinCreateRevision, r.MaxCreateRevision = d.bound(), d.bound()
	return r
}

func (d *draws) putRequest() *pb.PutRequest {
	r := &pb.PutRequest{Key: d.key(), Value: d.value(), PrevKv: d.one(3)}
	switch {
	case d.one(12):
		r.IgnoreValue = true
		if !d.one(4) {
			r.Value = nil
		}
	case d.one(12):
		r.IgnoreLease = true
	case d.one(40):
		r.IgnoreValue, r.IgnoreLease, r.Value = true, true, nil
	}
	if d.one(50) {
		r.Lease = 1 + d.Int64N(100)
	}
	return r
}

func (d *draws) deleteRequest() *pb.DeleteRangeRequest {
	r := &pb.DeleteRangeRequest{Key: d.key(), PrevKv: d.one(2)}
	if d.one(3) {
		r.RangeEnd = d.end(r.Key)
	}
	return r
}

func (d *draws) compare() *pb.Compare {
	c := &pb.Compare{
		Result: pb.Compare_CompareResult(d.IntN(4)), Target: pb.Compare_CompareTarget(d.IntN(5)), Key: d.key(),
	}
	if d.one(3) {
		c.RangeEnd = d.end(c.Key)
	}
	target := c.Target
	if d.one(60) {
		target = pb.Compare_CompareTarget(d.IntN(5)) // the union holds another field than the target says
	}
	switch target {
	case pb.Compare_VERSION:
		c.TargetUnion = &pb.Compare_Version{Version: d.Int64N(3)}
	case pb.Compare_CREATE:
		c.TargetUnion = &pb.Compare_CreateRevision{CreateRevision: of(d, 0, d.at())}
	case pb.Compare_MOD:
		c.TargetUnion = &pb.Compare_ModRevision{ModRevision: of(d, 0, d.at())}
	case pb.Compare_VALUE:
		c.TargetUnion = &pb.Compare_Value{Value: []byte(strconv.Itoa(d.IntN(5)))}
	case pb.Compare_LEASE:
		c.TargetUnion = &pb.Compare_Lease{Lease: d.Int64N(2)}
	}
	if d.one(60) {
		c.TargetUnion = nil
	}
	if d.one(200) {
		c.Result = 7
	}
	return c
}

// txn draws a transaction in which further ones are nested at most depth deep.
func (d *draws) txn(depth int) *pb.TxnRequest {
	r := &pb.TxnRequest{}
	for range d.IntN(3) {
		r.Compare = append(r.Compare, d.compare())
	}
	readOnly := d.one(5)
	for range d.IntN(4) {
		r.Success = append(r.Success, d.op(depth, readOnly))
	}
	for range d.IntN(4) {
		r.Failure = append(r.Failure, d.op(depth, readOnly))
	}
	if d.one(150) {
		for i := range 126 + d.IntN(5) { // the limit is 128
			r.Success = append(r.Success, put("many/"+strconv.Itoa(i), "x"))
		}
	}
	if d.one(150) {
		for range 127 + d.IntN(4) {
			r.Compare = append(r.Compare, d.compare())
		}
	}
	return r
}

// tame keeps etcd alive: a put that wants the old value or lease of a key that the same transaction has
// deleted ends its process.
func tame(r *pb.TxnRequest) *pb.TxnRequest {
	if deletes(r) {
		eachPut(r, func(p *pb.PutRequest) { p.IgnoreValue, p.IgnoreLease = false, false })
	}
	return r
}

func deletes(r *pb.TxnRequest) bool {
	for _, op := range slices.Concat(r.Success, r.Failure) {
		if op.GetRequestDeleteRange() != nil || op.GetRequestTxn() != nil && deletes(op.GetRequestTxn()) {
			return true
		}
	}
	return false
}

func eachPut(r *pb.TxnRequest, f func(*pb.PutRequest)) {
	for _, op := range slices.Concat(r.Success, r.Failure) {
		if p := op.GetRequestPut(); p != nil {
			f(p)
		}
		if inner := op.GetRequestTxn(); inner != nil {
			eachPut(inner, f)
		}
	}
}

func (d *draws) op(depth int, readOnly bool) *pb.RequestOp {
	switch n := d.IntN(10); {
	case d.one(100):
		return &pb.RequestOp{}
	case n < 3 || readOnly && n < 8:
		return &pb.RequestOp{Request: &pb.RequestOp_RequestRange{RequestRange: d.rangeRequest()}}
	case n < 6:
		return &pb.RequestOp{Request: &pb.RequestOp_RequestPut{RequestPut: d.putRequest()}}
	case n < 8:
		return &pb.RequestOp{Request: &pb.RequestOp_RequestDeleteRange{RequestDeleteRange: d.deleteRequest()}}
	case depth > 0:
		return &pb.RequestOp{Request: &pb.RequestOp_RequestTxn{RequestTxn: d.txn(depth - 1)}}
	}
	return &pb.RequestOp{Request: &pb.RequestOp_RequestRange{RequestRange: &pb.RangeRequest{Key: d.key()}}}
}

// request draws one of any kind.
func (d *draws) request() proto.Message {
	switch n := d.IntN(1000); {
	case n < 3:
		return &pb.PutRequest{Key: []byte("large"), Value: make([]byte, 3<<19+d.IntN(1<<10))}
	case n < 4:
		return &pb.PutRequest{Key: []byte("larger"), Value: make([]byte, 2<<20+1<<10)}
	case n < 280:
		return d.rangeRequest()
	case n < 560:
		return d.putRequest()
	case n < 660:
		return d.deleteRequest()
	case n < 985:
		return tame(d.txn(2))
	}
	r := &pb.CompactionRequest{Revision: d.at(), Physical: d.one(10)}
	if !d.one(3) { // keep some history most of the time
		r.Revision = d.compacted + d.Int64N(max(1, (d.revision-d.compacted)/2))
	}
	for d.mixed[r.Revision] {
		r.Revision--
	}
	return r
}

// note learns the store's revision from an answer.
func (d *draws) note(request proto.Message, a answer) {
	if a.err != nil {
		return
	}
	h := a.message.(interface{ GetHeader() *pb.ResponseHeader }).GetHeader()
	d.revision = max(d.revision, h.Revision)
	if c, ok := request.(*pb.CompactionRequest); ok {
		d.compacted = c.Revision
	}
	if txn, ok := request.(*pb.TxnRequest); ok && deletes(txn) {
		eachPut(txn, func(*pb.PutRequest) { d.mixed[h.Revision] = true })
	}
}

func put(key, value string) *pb.RequestOp {
	return &pb.RequestOp{Request: &pb.RequestOp_RequestPut{RequestPut: &pb.PutRequest{Key: []byte(key), Value: []byte(value)}}}
}
