package snapshot

import (
	"bytes"
	"errors"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"github.com/lockstep-rsm/lockstep/env"
	"github.com/lockstep-rsm/lockstep/internal/wire"
	"github.com/lockstep-rsm/lockstep/raft"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var testCluster = [16]byte{7, 7}

func header(group raft.GroupID, index raft.Index) Header {
	id := raft.Identity{Group: group, Birth: 5, Kind: raft.KindEmpty, Flags: raft.FlagMark, Term: 3, Index: index, Time: 99}
	return Header{
		Format: wire.SnapshotFormat, Cluster: testCluster, Epoch: 1,
		Meta: raft.SnapshotMeta{Identity: id, Sum: id.Digest(), Configuration: raft.Configuration{
			Index: 1, Voters: []raft.Member{{Replica: 1, Host: 1, Incarnation: 9}}, NextReplica: 2, Settings: raft.Settings{Machine: "kv", Version: 1},
		}},
		Chain: 1, MachineDigest: 2, HasMachineDigest: true, FeatureLevel: 1, Machine: "kv", MachineVersion: 1, Time: 99, Sessions: []byte("sessions"), Secret: 4,
	}
}

func randomBytes(n int) []byte {
	p := make([]byte, n)
	_, _ = rand.NewChaCha8([32]byte{1}).Read(p)
	return p
}

func openStore(t *testing.T, dir string, change func(o *Options)) *Store {
	t.Helper()
	o := Options{Env: env.OS(), Dir: dir, Cluster: testCluster}
	if change != nil {
		change(&o)
	}
	s, err := Open(o)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// write seals a snapshot of data, given in uneven pieces.
func write(s *Store, h Header, data []byte) error {
	w, err := s.Create(h)
	if err != nil {
		return err
	}
	for len(data) > 0 {
		n := min(len(data), 300_001)
		if _, err := w.Write(data[:n]); err != nil {
			w.Abort()
			return err
		}
		data = data[n:]
	}
	return w.Seal()
}

func mustWrite(t *testing.T, s *Store, h Header, data []byte) {
	t.Helper()
	if err := write(s, h, data); err != nil {
		t.Fatal(err)
	}
}

// read opens a snapshot and reads all of it.
func read(s *Store, group raft.GroupID, index raft.Index) (Header, []byte, error) {
	r, err := s.Open(group, 5, index)
	if err != nil {
		return Header{}, nil, err
	}
	data, err := io.ReadAll(r)
	return r.Header(), data, errors.Join(err, r.Close())
}

func files(t *testing.T, dir string) string {
	t.Helper()
	infos, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, i := range infos {
		names = append(names, strings.TrimPrefix(i.Name(), "snapshot-"))
	}
	return strings.Join(names, " ")
}

func indexes(s *Store, group raft.GroupID) (out []raft.Index) {
	for _, h := range s.List(group, 5) {
		out = append(out, h.Meta.Index())
	}
	return out
}

func TestSealedIsReadBack(t *testing.T) {
	dir := t.TempDir() + "/snapshots"
	s := openStore(t, dir, nil)
	for i, size := range []int{0, 1, 1 << 20, 1<<20 + 1, 3<<20 - 7} {
		index := raft.Index(100 + i)
		data := randomBytes(size)
		mustWrite(t, s, header(1, index), data)
		for _, s := range []*Store{s, openStore(t, dir, nil)} {
			h, got, err := read(s, 1, index)
			if err != nil || !bytes.Equal(got, data) {
				t.Fatalf("%d bytes come back as %d: %v", size, len(got), err)
			}
			if d := cmp.Diff(header(1, index), h); d != "" {
				t.Errorf("header changed: %s", d)
			}
		}
	}
	if got := indexes(s, 1); !cmp.Equal(got, []raft.Index{104, 103, 102, 101, 100}) {
		t.Errorf("list is %v", got)
	}
	if got := indexes(s, 2); got != nil {
		t.Errorf("list of another group is %v", got)
	}
	if _, _, err := read(s, 1, 7); !errors.Is(err, ErrNotFound) {
		t.Errorf("open what is not here: %v", err)
	}
}

func TestAgreedIsDurable(t *testing.T) {
	dir := t.TempDir()
	s := openStore(t, dir, nil)
	mustWrite(t, s, header(1, 10), []byte("state"))
	if s.Agreed(1, 5, 10) {
		t.Error("a new snapshot is agreed")
	}
	if err := s.Send(io.Discard, 1, 5, 10, 0); !errors.Is(err, ErrNotAgreed) {
		t.Errorf("send one that is not agreed: %v", err)
	}
	if err := s.MarkAgreed(1, 5, 11); !errors.Is(err, ErrNotFound) {
		t.Errorf("agree on one that is not here: %v", err)
	}
	for range 2 {
		if err := s.MarkAgreed(1, 5, 10); err != nil {
			t.Fatal(err)
		}
		for _, s := range []*Store{s, openStore(t, dir, nil)} {
			if !s.Agreed(1, 5, 10) {
				t.Error("agreement is lost")
			}
		}
	}
	if _, err := s.Create(header(1, 10)); !errors.Is(err, ErrExists) {
		t.Errorf("create over an agreed one: %v", err)
	}
}

func TestUnfinishedIsRemovedAtOpenBug42Bug48(t *testing.T) {
	dir := t.TempDir()
	s := openStore(t, dir, nil)
	w, err := s.Create(header(1, 10))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Create(header(1, 10)); !errors.Is(err, ErrBusy) {
		t.Errorf("create twice: %v", err)
	}
	if _, err := w.Write(randomBytes(2 << 20)); err != nil {
		t.Fatal(err)
	}
	openStore(t, dir, nil)
	if got := files(t, dir); got != "" {
		t.Errorf("open leaves %s", got)
	}
	w.Abort()
	w.Abort()
	if err := w.Seal(); err == nil {
		t.Error("an aborted writer seals")
	}
}

func TestOldOnesGoBug41(t *testing.T) {
	dir := t.TempDir()
	s := openStore(t, dir, nil)
	mustWrite(t, s, header(2, 1), nil)
	for i := raft.Index(8); i <= 12; i++ { // of one digit and of two (bug 41)
		mustWrite(t, s, header(1, i), []byte{byte(i)})
		if i != 11 {
			if err := s.MarkAgreed(1, 5, i); err != nil {
				t.Fatal(err)
			}
		}
	}
	if got := indexes(s, 1); !cmp.Equal(got, []raft.Index{12, 10}) {
		t.Errorf("two agreed ones should stay, not %v", got)
	}
	r, err := s.Open(1, 5, 10)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Prune(1, 5, 12); err != nil {
		t.Fatal(err)
	}
	if got := indexes(s, 1); !cmp.Equal(got, []raft.Index{12}) {
		t.Errorf("after pruning before 12: %v", got)
	}
	if data, err := io.ReadAll(r); err != nil || !bytes.Equal(data, []byte{10}) {
		t.Errorf("a reader loses its file: %v, %v", data, err)
	}
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	if err := s.RemoveGroup(1, 5); err != nil {
		t.Fatal(err)
	}
	if got := files(t, dir); got != "0000000000000002-0000000000000005-0000000000000001.sealed" {
		t.Errorf("files left: %s", got)
	}
	if err := s.Remove(2, 5, 1); err != nil || s.Bytes() != 0 {
		t.Errorf("remove: %v, %d bytes left", err, s.Bytes())
	}
}

// A snapshot of a machine that is out of service goes, but not one that a majority has agreed with meanwhile, one
// that is being marked so, or one that is written anew.
func TestOnlyWhatIsNotAgreedIsDropped(t *testing.T) {
	s := openStore(t, t.TempDir(), nil)
	for i := raft.Index(1); i <= 3; i++ {
		mustWrite(t, s, header(1, i), []byte{byte(i)})
	}
	if err := s.MarkAgreed(1, 5, 1); err != nil {
		t.Fatal(err)
	}
	w, err := s.Create(header(1, 3))
	if err != nil {
		t.Fatal(err)
	}
	for i := raft.Index(1); i <= 4; i++ {
		if err := s.RemoveUnagreed(1, 5, i); err != nil {
			t.Errorf("remove %d: %v", i, err)
		}
	}
	if got := indexes(s, 1); !cmp.Equal(got, []raft.Index{3, 1}) {
		t.Errorf("left are %v, want the agreed one and the one that is written", got)
	}
	if err := w.Seal(); err != nil {
		t.Error(err)
	}
	if err := s.MarkAgreed(1, 5, 3); err != nil {
		t.Error(err)
	}
	if err := s.RemoveUnagreed(1, 5, 3); err != nil || !s.Agreed(1, 5, 3) {
		t.Errorf("the agreed one is gone: %v", err)
	}
}

// TestEveryFlipIsFound changes each byte of a sealed file, and cuts it at each place.
func TestEveryFlipIsFound(t *testing.T) {
	flipAll(t, randomBytes(300), func(int) bool { return true })
}

// TestFlipsAroundAChunksEndAreFound does so in a file of two chunks, where they meet.
func TestFlipsAroundAChunksEndAreFound(t *testing.T) {
	const end = wire.SnapshotChunkBytes + 350 // about: the header takes some
	flipAll(t, randomBytes(wire.SnapshotChunkBytes+50), func(at int) bool { return at > end-60 && at < end+30 && at%3 == 0 })
}

func flipAll(t *testing.T, data []byte, which func(at int) bool) {
	dir := t.TempDir()
	s := openStore(t, dir, nil)
	mustWrite(t, s, header(1, 10), data)
	name := filepath.Join(dir, "snapshot-0000000000000001-0000000000000005-000000000000000a.sealed")
	intact, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	parse := func(p []byte) error {
		in := newParser("the file", bytes.NewReader(p))
		err := in.readHead()
		for err == nil {
			_, err = in.next()
		}
		return err
	}
	if err := parse(intact); err != io.EOF {
		t.Fatalf("intact file: %v", err)
	}
	check := func(what string, at int, p []byte) {
		var c *wire.CorruptError
		if err := parse(p); !errors.As(err, &c) || !strings.Contains(err.Error(), "the file") {
			t.Fatalf("%s at %d: %v", what, at, err)
		}
	}
	for at := range intact {
		if !which(at) {
			continue
		}
		p := intact[at]
		for _, bit := range []byte{1, 0x80} {
			intact[at] ^= bit
			check("flip", at, intact)
			intact[at] = p
		}
		check("cut", at, intact[:at])
	}
	check("more bytes", len(intact), append(bytes.Clone(intact), 0))
}

// TestDamageIsNamedAndNotListed damages files where Open looks and where only a Reader does.
func TestDamageIsNamedAndNotListed(t *testing.T) {
	dir := t.TempDir()
	s := openStore(t, dir, nil)
	for i := raft.Index(1); i <= 4; i++ {
		mustWrite(t, s, header(1, i), randomBytes(10_000))
	}
	damage := func(index string, change func(p []byte) []byte) {
		name := filepath.Join(dir, "snapshot-0000000000000001-0000000000000005-000000000000000"+index+".sealed")
		p, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, change(p), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	damage("1", func(p []byte) []byte { p[40] ^= 1; return p })
	damage("2", func(p []byte) []byte { return p[:len(p)-1] })
	damage("3", func(p []byte) []byte { p[len(p)-5000] ^= 1; return p })
	s = openStore(t, dir, nil)
	if got := indexes(s, 1); !cmp.Equal(got, []raft.Index{4, 3}) {
		t.Fatalf("list is %v", got)
	}
	if got := s.Damaged(); len(got) != 2 || !strings.Contains(got[0].Error(), "0001.sealed") || !strings.Contains(got[1].Error(), "0002.sealed") {
		t.Errorf("damaged: %v", got)
	}
	_, _, err := read(s, 1, 3)
	if !errors.Is(err, wire.ErrCorrupt) || !strings.Contains(err.Error(), "0003.sealed") {
		t.Errorf("read damage: %v", err)
	}
	if got := indexes(s, 1); !cmp.Equal(got, []raft.Index{4}) || len(s.Damaged()) != 3 {
		t.Errorf("list is %v, damaged %v", got, s.Damaged())
	}
	if err := s.Prune(1, 5, 4); err != nil {
		t.Fatal(err)
	}
	if got := files(t, dir); got != "0000000000000001-0000000000000005-0000000000000004.sealed" {
		t.Errorf("files left: %s", got)
	}
	other := openStore(t, dir, func(o *Options) { o.Cluster = [16]byte{1} })
	if got := other.Damaged(); len(got) != 1 || !strings.Contains(got[0].Error(), "cluster") {
		t.Errorf("snapshot of another cluster: %v", got)
	}
}

func TestStreamArrives(t *testing.T) {
	from, to := openStore(t, t.TempDir(), nil), openStore(t, t.TempDir(), nil)
	data := randomBytes(3<<20 + 5)
	mustWrite(t, from, header(1, 10), data)
	if err := from.MarkAgreed(1, 5, 10); err != nil {
		t.Fatal(err)
	}
	var file bytes.Buffer
	if err := from.Send(&file, 1, 5, 10, 0); err != nil {
		t.Fatal(err)
	}
	if int64(file.Len()) != from.Size(1, 5, 10) {
		t.Errorf("sent %d bytes of %d", file.Len(), from.Size(1, 5, 10))
	}
	h, err := to.Receive(&file, 1, 5, 10, 0)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(header(1, 10), h); d != "" {
		t.Errorf("header changed: %s", d)
	}
	if _, got, err := read(to, 1, 10); err != nil || !bytes.Equal(got, data) || !to.Agreed(1, 5, 10) {
		t.Errorf("received %d bytes, agreed %v: %v", len(got), to.Agreed(1, 5, 10), err)
	}
}

// What is received is durable before it has the name under which it is found: a power loss leaves no snapshot
// with holes, on the strength of which the log was cut.
func TestReceivedIsDurableBeforeItIsNamedBug46(t *testing.T) {
	f := &faults{}
	from, to := openStore(t, t.TempDir(), nil), openStore(t, t.TempDir(), func(o *Options) { f.Env, o.Env = o.Env, f })
	mustWrite(t, from, header(1, 10), randomBytes(1000))
	if err := from.MarkAgreed(1, 5, 10); err != nil {
		t.Fatal(err)
	}
	var file bytes.Buffer
	if err := from.Send(&file, 1, 5, 10, 0); err != nil {
		t.Fatal(err)
	}
	f.ops = nil
	if _, err := to.Receive(&file, 1, 5, 10, 0); err != nil {
		t.Fatal(err)
	}
	written := false // and not synced
	for _, op := range f.ops {
		switch op {
		case "write":
			written = true
		case "sync":
			written = false
		case "rename":
			if written {
				t.Fatalf("named before its bytes are durable: %v", f.ops)
			}
			return
		}
	}
	t.Fatalf("not named at all: %v", f.ops)
}

var errCut = errors.New("cut")

// cutReader is a stream that breaks off.
type cutReader struct {
	r io.Reader
	n int
}

func (c *cutReader) Read(p []byte) (int, error) {
	if c.n == 0 {
		return 0, errCut
	}
	n, err := c.r.Read(p[:min(len(p), c.n)])
	c.n -= n
	return n, err
}

func TestStreamIsTakenUpWhereItBroke(t *testing.T) {
	dir := t.TempDir()
	from, to := openStore(t, t.TempDir(), nil), openStore(t, dir, nil)
	data := randomBytes(5<<20 + 5)
	mustWrite(t, from, header(1, 10), data)
	if err := from.MarkAgreed(1, 5, 10); err != nil {
		t.Fatal(err)
	}
	last := int64(-1)
	for try, bytesMore := range []int{10, 1000, 2 << 20, 1, 2<<20 + 100, 1 << 30} {
		offset := to.Offset(1, 5, 10)
		if offset < last {
			t.Fatalf("try %d: offset %d after %d", try, offset, last)
		}
		last = offset
		var file bytes.Buffer
		if err := from.Send(&file, 1, 5, 10, offset); err != nil {
			t.Fatal(err)
		}
		if int64(file.Len()) != from.Size(1, 5, 10)-offset {
			t.Fatalf("sent %d bytes from %d of %d", file.Len(), offset, from.Size(1, 5, 10))
		}
		_, err := to.Receive(&cutReader{&file, bytesMore}, 1, 5, 10, offset)
		if bytesMore < 1<<30 {
			if !errors.Is(err, errCut) {
				t.Fatalf("try %d: %v", try, err)
			}
			to = openStore(t, dir, nil) // what is here outlives the process
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if last < 3<<20 {
		t.Errorf("the last try began at %d", last)
	}
	if _, got, err := read(to, 1, 10); err != nil || !bytes.Equal(got, data) {
		t.Errorf("received %d bytes: %v", len(got), err)
	}
	if got := files(t, dir); strings.Contains(got, "part") {
		t.Errorf("files left: %s", got)
	}
}

// TestPartsOfTwoSourcesAreRefusedBug45: two replicas' files of one snapshot may differ, as a machine
// need not write its state in one order. Half of each is neither.
func TestPartsOfTwoSourcesAreRefusedBug45(t *testing.T) {
	one, two, to := openStore(t, t.TempDir(), nil), openStore(t, t.TempDir(), nil), openStore(t, t.TempDir(), nil)
	data := randomBytes(3 << 20)
	mustWrite(t, one, header(1, 10), data)
	mustWrite(t, two, header(1, 10), append(data[1<<20:], data[:1<<20]...))
	var file bytes.Buffer
	for _, s := range []*Store{one, two} {
		if err := s.MarkAgreed(1, 5, 10); err != nil {
			t.Fatal(err)
		}
	}
	if err := one.Send(&file, 1, 5, 10, 0); err != nil {
		t.Fatal(err)
	}
	if _, err := to.Receive(&cutReader{&file, 2 << 20}, 1, 5, 10, 0); !errors.Is(err, errCut) {
		t.Fatal(err)
	}
	offset := to.Offset(1, 5, 10)
	if offset == 0 {
		t.Fatal("nothing was kept")
	}
	file.Reset()
	if err := two.Send(&file, 1, 5, 10, offset); err != nil {
		t.Fatal(err)
	}
	if _, err := to.Receive(&file, 1, 5, 10, offset); !errors.Is(err, wire.ErrCorrupt) {
		t.Errorf("half of each: %v", err)
	}
	if n := to.Offset(1, 5, 10); n != 0 || len(to.List(1, 5)) != 0 {
		t.Errorf("%d bytes of it stay; list %v", n, to.List(1, 5))
	}
}

func TestStreamOfAnotherSnapshotIsRefused(t *testing.T) {
	dir := t.TempDir()
	from, to := openStore(t, t.TempDir(), nil), openStore(t, dir, nil)
	mustWrite(t, from, header(1, 10), randomBytes(100))
	if err := from.MarkAgreed(1, 5, 10); err != nil {
		t.Fatal(err)
	}
	var file bytes.Buffer
	if err := from.Send(&file, 1, 5, 10, 0); err != nil {
		t.Fatal(err)
	}
	whole := file.Bytes()
	for what, try := range map[string]func() error{
		"another index": func() error { _, err := to.Receive(bytes.NewReader(whole), 1, 5, 11, 0); return err },
		"garbage": func() error {
			_, err := to.Receive(strings.NewReader("garbage of some length"), 1, 5, 10, 0)
			return err
		},
		"cut short": func() error { _, err := to.Receive(bytes.NewReader(whole[:len(whole)-1]), 1, 5, 10, 0); return err },
		"too long": func() error {
			_, err := to.Receive(bytes.NewReader(append(bytes.Clone(whole), 0)), 1, 5, 10, 0)
			return err
		},
	} {
		if err := try(); !errors.Is(err, wire.ErrCorrupt) {
			t.Errorf("%s: %v", what, err)
		}
		if got := files(t, dir); got != "" {
			t.Errorf("%s leaves %s", what, got)
		}
	}
}

// A directory that cannot be synced leaves the file with its new name: marking it is tried again.
func TestAgreementIsTriedAgain(t *testing.T) {
	for failAt := 1; failAt <= 2; failAt++ {
		dir := t.TempDir()
		f := &faults{Env: env.OS()}
		s := openStore(t, dir, func(o *Options) { o.Env = f })
		data := randomBytes(1000)
		mustWrite(t, s, header(1, 10), data)
		f.n, f.failAt = 0, failAt
		if err := s.MarkAgreed(1, 5, 10); !errors.Is(err, syscall.ENOSPC) || s.Agreed(1, 5, 10) {
			t.Fatalf("%s failed: %v; agreed: %t", f.op, err, s.Agreed(1, 5, 10))
		}
		if _, got, err := read(s, 1, 10); err != nil || !bytes.Equal(got, data) {
			t.Errorf("%s failed: read %d bytes: %v", f.op, len(got), err)
		}
		if err := s.MarkAgreed(1, 5, 10); err != nil || !s.Agreed(1, 5, 10) {
			t.Errorf("%s failed, and again: %v", f.op, err)
		}
		if again := openStore(t, dir, nil); !again.Agreed(1, 5, 10) {
			t.Errorf("%s failed once: agreement is lost", f.op)
		}
	}
}

// TestSendFindsDamage: a rotten source must not make every receiver try for ever.
func TestSendFindsDamage(t *testing.T) {
	dir := t.TempDir()
	s := openStore(t, dir, nil)
	mustWrite(t, s, header(1, 10), randomBytes(10_000))
	if err := s.MarkAgreed(1, 5, 10); err != nil {
		t.Fatal(err)
	}
	name := filepath.Join(dir, "snapshot-0000000000000001-0000000000000005-000000000000000a.agreed")
	p, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	p[5000] ^= 1
	if err := os.WriteFile(name, p, 0o644); err != nil {
		t.Fatal(err)
	}
	if err := s.Send(io.Discard, 1, 5, 10, 9000); !errors.Is(err, wire.ErrCorrupt) || s.Agreed(1, 5, 10) {
		t.Errorf("send damage: %v, still agreed: %v", err, s.Agreed(1, 5, 10))
	}
}

func TestThrottleHoldsItsRate(t *testing.T) {
	e := env.OS()
	th := NewThrottle(e, 10<<20)
	began := e.Clock().Now()
	w := e.NewWaiter()
	for range 40 {
		w.Wake() // a wake by chance does not let bytes go early
		th.Wait(w, 100<<10)
	}
	// 4 MiB at 10 MiB/s, the first of them and a burst free.
	if took := e.Clock().Now() - began; took < 300*time.Millisecond {
		t.Errorf("4 MiB at 10 MiB/s took %v", took)
	}
	if NewThrottle(e, 0).Take(1<<40) != 0 {
		t.Error("the zero rate throttles")
	}
}

// TestSealReadsBack: a disk that says it wrote and did not is found before anything relies on it.
func TestSealReadsBack(t *testing.T) {
	dir := t.TempDir()
	rotten := &faults{Env: env.OS(), rot: true}
	s := openStore(t, dir, func(o *Options) { o.Env = rotten })
	if err := write(s, header(1, 10), randomBytes(5000)); !errors.Is(err, wire.ErrCorrupt) {
		t.Errorf("seal on a disk that rots: %v", err)
	}
	if got := files(t, dir); got != "" || len(s.List(1, 5)) != 0 {
		t.Errorf("files left: %s; list %v", got, s.List(1, 5))
	}
}

// TestLongWritesSyncAsTheyGo: one sync at the end would hold up the log's.
func TestLongWritesSyncAsTheyGo(t *testing.T) {
	counted := &faults{Env: env.OS()}
	s := openStore(t, t.TempDir(), func(o *Options) { o.Env = counted })
	mustWrite(t, s, header(1, 10), make([]byte, 4*syncEveryBytes))
	if counted.syncs < 5 {
		t.Errorf("%d syncs", counted.syncs)
	}
}

func TestFaultsLeaveNothing(t *testing.T) {
	// Count the operations of a good run, then let each of them fail.
	data := randomBytes(wire.SnapshotChunkBytes + 100)
	var total int
	for fail := 0; fail == 0 || fail <= total; fail++ {
		dir := t.TempDir()
		mustWrite(t, openStore(t, dir, nil), header(1, 9), []byte("former"))
		faulty := &faults{Env: env.OS()}
		s := openStore(t, dir, func(o *Options) { o.Env = faulty })
		faulty.n, faulty.failAt = 0, fail
		err := write(s, header(1, 10), data)
		if fail == 0 {
			if err != nil {
				t.Fatal(err)
			}
			total = faulty.n
			if total < 12 {
				t.Fatalf("only %d operations", total)
			}
			continue
		}
		if !errors.Is(err, syscall.ENOSPC) {
			t.Fatalf("operation %d (%s) fails: %v", fail, faulty.op, err)
		}
		faulty.failAt = 0
		for _, s := range []*Store{s, openStore(t, dir, nil)} {
			if got := indexes(s, 1); !cmp.Equal(got, []raft.Index{9}) {
				t.Fatalf("after operation %d (%s) failed: %v", fail, faulty.op, got)
			}
		}
		if got := files(t, dir); got != "0000000000000001-0000000000000005-0000000000000009.sealed" {
			t.Fatalf("after operation %d (%s) failed: files %s", fail, faulty.op, got)
		}
		if err := write(s, header(1, 10), data); err != nil {
			t.Fatalf("after operation %d (%s) failed, again: %v", fail, faulty.op, err)
		}
	}
}
