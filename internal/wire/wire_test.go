package wire

import (
	"bytes"
	"encoding/binary"
	"errors"
	"reflect"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/lockstep-rsm/lockstep/internal/session"
	"github.com/lockstep-rsm/lockstep/raft"
)

func same[T any](t *testing.T, what string, got, want T, err error) {
	t.Helper()
	if err != nil {
		t.Fatalf("%s: %v", what, err)
	}
	if d := cmp.Diff(want, got, cmpopts.EquateEmpty()); d != "" {
		t.Errorf("%s comes back changed:\n%s", what, d)
	}
}

func TestSamplesRoundTrip(t *testing.T) {
	conf := sampleConfiguration()
	gotConf, err := DecodeConfiguration(AppendConfiguration(nil, &conf))
	same(t, "configuration", gotConf, conf, err)

	for _, m := range []raft.Message{sampleAppend(), sampleHeartbeat(), sampleFull(), sampleMore(), samplePatient()} {
		got, rest, err := DecodeMessage(append(AppendMessage(nil, &m), 1, 2, 3))
		same(t, "message", got, m, err)
		same(t, "bytes behind it", rest, []byte{1, 2, 3}, nil)
	}
	for _, p := range []Packet{{Forward: sampleForward()}, {Reply: sampleForwardReply()}, {Vouch: sampleVouch()}, {Wake: &Wake{Group: 7, Birth: 0xb}}} {
		got, _, err := DecodePacket(AppendPacket(nil, &p))
		same(t, "packet", got, p, err)
	}
	hello := sampleHello()
	gotHello, err := DecodeHello(AppendHello(nil, &hello))
	same(t, "hello", gotHello, hello, err)
	reply := HelloReply{Reason: "another cluster", Hello: hello}
	gotReply, err := DecodeHelloReply(AppendHelloReply(nil, &reply))
	same(t, "hello reply", gotReply, reply, err)
	request := sampleFoundingRequest()
	gotRequest, err := DecodeFoundingRequest(AppendFoundingRequest(nil, &request))
	same(t, "founding request", gotRequest, request, err)
	answer := sampleFoundingReply()
	gotAnswer, err := DecodeFoundingReply(AppendFoundingReply(nil, &answer))
	same(t, "founding reply", gotAnswer, answer, err)
	host := sampleHostIdentity()
	gotHost, err := DecodeHostIdentity(append(AppendHostIdentity(nil, &host), make([]byte, 100)...))
	same(t, "host identity", gotHost, host, err)
	header := sampleSnapshotHeader()
	gotHeader, rest, err := DecodeSnapshotHeader(append(AppendSnapshotHeader(nil, &header), 9))
	same(t, "snapshot header", gotHeader, header, err)
	same(t, "bytes behind it", rest, []byte{9}, nil)
}

// Every field of a message travels, but for the two that only route it: one that is forgotten here is
// always zero at its receiver, and nothing else says so.
func TestEveryFieldOfAMessageTravels(t *testing.T) {
	entry := sampleAppend().Entries[:1]
	fields := reflect.TypeFor[raft.Message]()
	for i := range fields.NumField() {
		f := fields.Field(i)
		if f.Name == "ToHost" || f.Name == "FromHost" {
			continue
		}
		m := raft.Message{Type: raft.MsgHeartbeatReply}
		switch v := reflect.ValueOf(&m).Elem().Field(i); v.Kind() {
		case reflect.Bool:
			v.SetBool(true)
		case reflect.Int64:
			v.SetInt(7)
		case reflect.Struct:
			v.Field(0).SetUint(7)
		case reflect.Slice:
			a := sampleAppend()
			m.Group, m.Birth, m.Prev, m.PrevSum, m.Entries = a.Group, a.Birth, a.Prev, a.PrevSum, entry
		default:
			v.SetUint(7)
		}
		got, _, err := DecodeMessage(AppendMessage(nil, &m))
		same(t, f.Name, got, m, err)
	}
}

// TestEveryFlipIsFound flips every bit of the formats that carry a checksum.
func TestEveryFlipIsFound(t *testing.T) {
	host, header, frame, chunk := sampleHostIdentity(), sampleSnapshotHeader(), sampleFrame(), sampleChunk()
	for _, c := range []struct {
		what   string
		p      []byte
		decode func(p []byte) error
	}{
		{"host identity", AppendHostIdentity(nil, &host), func(p []byte) error { _, err := DecodeHostIdentity(p); return err }},
		{"snapshot header", AppendSnapshotHeader(nil, &header), func(p []byte) error { _, _, err := DecodeSnapshotHeader(p); return err }},
		{"footer", AppendFooter(nil, &Footer{Chunks: 1, Total: 2, Digest: 3}), func(p []byte) error { _, err := DecodeFooter(p); return err }},
		{"frame", frame, func(p []byte) error {
			h, err := ParseFrameHeader(p, len(frame))
			if err != nil {
				return err
			}
			return h.Verify(p[FrameHeaderSize:])
		}},
		{"chunk", chunk, func(p []byte) error {
			if _, err := ParseChunkHeader(p, 3); err != nil {
				return err
			}
			return VerifyChunk(p[:ChunkHeaderSize], p[ChunkHeaderSize:])
		}},
	} {
		if err := c.decode(c.p); err != nil {
			t.Fatalf("intact %s: %v", c.what, err)
		}
		for i := range c.p {
			for bit := range 8 {
				p := bytes.Clone(c.p)
				p[i] ^= 1 << bit
				var corrupt *CorruptError
				if err := c.decode(p); !errors.As(err, &corrupt) {
					t.Fatalf("%s with bit %d of byte %d flipped: %v", c.what, bit, i, err)
				}
			}
		}
		for n := range c.p {
			if err := c.decode(c.p[:n]); err == nil {
				t.Fatalf("%s cut to %d bytes is accepted", c.what, n)
			}
		}
	}
}

// TestMessageVerifiesEntries flips every bit of the entries, which are last in a message: a flip
// that the frame's checksum missed is found by the identities.
func TestMessageVerifiesEntries(t *testing.T) {
	m := sampleAppend()
	p := AppendMessage(nil, &m)
	entries := m.Entries
	m.Entries = nil
	head := len(AppendMessage(nil, &m))
	m.Entries = entries
	if len(p) < head+entrySize*3 {
		t.Fatalf("%d bytes for three entries", len(p)-head)
	}
	for i := head; i < len(p); i++ {
		for bit := range 8 {
			q := bytes.Clone(p)
			q[i] ^= 1 << bit
			if _, rest, err := DecodeMessage(q); err == nil && len(rest) == 0 {
				t.Fatalf("bit %d of byte %d flipped is accepted", bit, i)
			}
		}
	}
}

func TestMessageOfABrokenChainIsRefused(t *testing.T) {
	for what, breakIt := range map[string]func(m *raft.Message){
		"another previous digest": func(m *raft.Message) { m.PrevSum++ },
		"another previous index":  func(m *raft.Message) { m.Prev.Index++ },
		"another group":           func(m *raft.Message) { m.Group++ },
		"another birth":           func(m *raft.Message) { m.Birth++ },
		"an entry left out":       func(m *raft.Message) { m.Entries = append(m.Entries[:1:1], m.Entries[2:]...) },
		"a payload not loaded":    func(m *raft.Message) { m.Entries[0].Data = nil },
	} {
		m := sampleAppend()
		breakIt(&m)
		func() {
			defer func() {
				if r := recover(); r == nil || !strings.Contains(r.(string), "A7") {
					t.Errorf("%s: encoded, or panicked with %v", what, r)
				}
			}()
			AppendMessage(nil, &m)
		}()
	}
}

// TestMessageWithAnotherHeadIsRefused lets the bytes lie: the head says another place than the
// one that the entries' digests cover.
func TestMessageWithAnotherHeadIsRefused(t *testing.T) {
	for what, change := range map[string]func(m *raft.Message){
		"previous digest": func(m *raft.Message) { m.PrevSum++ },
		"previous index":  func(m *raft.Message) { m.Prev.Index++ },
		"group":           func(m *raft.Message) { m.Group++ },
		"birth":           func(m *raft.Message) { m.Birth++ },
	} {
		m := sampleAppend()
		p := AppendMessage(nil, &m)
		m.Entries = nil
		head := AppendMessage(nil, &m)
		tail := p[len(head):]
		change(&m)
		forged := AppendMessage(nil, &m)
		binary.LittleEndian.PutUint16(forged[2:], binary.LittleEndian.Uint16(p[2:]))
		_, _, err := DecodeMessage(append(forged, tail...))
		if !errors.Is(err, ErrCorrupt) || !strings.Contains(err.Error(), "digest") {
			t.Errorf("message with another %s: %v", what, err)
		}
	}
}

func TestHeartbeatIsSmall(t *testing.T) {
	m := sampleHeartbeat()
	if n := len(AppendMessage(nil, &m)); n > 48 {
		t.Errorf("a heartbeat takes %d bytes", n)
	}
}

func TestUnknownIsRefused(t *testing.T) {
	m := sampleHeartbeat()
	message := func(change func(p []byte)) error {
		p := AppendMessage(nil, &m)
		change(p)
		_, _, err := DecodeMessage(p)
		return err
	}
	packet := func(kind byte) error {
		p := AppendPacket(nil, &Packet{Raft: &m})
		p[0] = kind
		_, _, err := DecodePacket(p)
		return err
	}
	payload := func(p ...byte) error {
		c := DecodePayload(p)
		for c.Next() {
		}
		return c.Err()
	}
	for what, err := range map[string]error{
		"message version":  message(func(p []byte) { p[0] = 2 }),
		"message type":     message(func(p []byte) { p[1] = 99 }),
		"message type 0":   message(func(p []byte) { p[1] = 0 }),
		"message field":    message(func(p []byte) { p[3] |= 0x80 }),
		"packet kind":      packet(4),
		"packet kind 0":    packet(0),
		"payload version":  payload(2, 0, 1, 0, 0, 0, 0),
		"section flag":     payload(1, 2, 1, 0, 0, 0, 0),
		"session header":   payload(1, 0, 1, 0, 0, 0, 1),
		"empty section":    payload(1, 0, 0, 0, 0, 0),
		"origin of host 0": payload(append([]byte{1, 1, 1, 0, 0, 0, 0}, make([]byte, 10)...)...),
		"long number":      payload(1, 0, 1, 0, 0, 0, 0x80, 0),
	} {
		if !errors.Is(err, ErrCorrupt) {
			t.Errorf("unknown %s: %v", what, err)
		}
	}
}

func TestPacketThatMayBeIgnoredIsSkipped(t *testing.T) {
	p := []byte{packetMayIgnore | 9, 3, 0, 0, 0, 'n', 'e', 'w'}
	p = AppendPacket(p, &Packet{Reply: sampleForwardReply()})
	p = append(p, packetMayIgnore|10, 0, 0, 0, 0)
	got, rest, err := DecodePacket(p)
	if err != nil || got.Reply == nil {
		t.Fatalf("packet behind one to ignore: %+v, %v", got, err)
	}
	if got, rest, err = DecodePacket(rest); err != nil || got != (Packet{}) || len(rest) != 0 {
		t.Fatalf("only one to ignore: %+v, %d bytes left, %v", got, len(rest), err)
	}
}

// TestLengthsAreBoundedBeforeAllocationBug88 hands over counts that no memory could hold.
func TestLengthsAreBoundedBeforeAllocationBug88(t *testing.T) {
	huge := binary.AppendUvarint(nil, 1<<40)
	m := sampleAppend()
	m.Entries = nil
	message := AppendMessage(nil, &m)
	message[2] |= hasEntries
	message = append(message, huge...)
	forward := AppendPacket(nil, &Packet{Forward: &Forward{}})
	forward = append(forward[:len(forward)-1], huge...)
	binary.LittleEndian.PutUint32(forward[1:], uint32(len(forward)-PacketHeaderSize))
	for what, decode := range map[string]func() error{
		"message":       func() error { _, _, err := DecodeMessage(message); return err },
		"forward":       func() error { _, _, err := DecodePacket(forward); return err },
		"configuration": func() error { _, err := DecodeConfiguration(append([]byte{1}, huge...)); return err },
		"payload": func() error {
			c := DecodePayload(append([]byte{1, 0, 1, 0, 0, 0}, huge...))
			c.Next()
			return c.Err()
		},
	} {
		var err error
		bytes := testing.AllocsPerRun(10, func() { err = decode() })
		if !errors.Is(err, ErrCorrupt) || bytes > 30 {
			t.Errorf("%s with a huge count: %v, %v allocations", what, err, bytes)
		}
	}
	p := sampleFrame()
	binary.LittleEndian.PutUint32(p[frameLengthAt:], 1<<31)
	if _, err := ParseFrameHeader(p, 1<<20); !errors.Is(err, ErrCorrupt) || !strings.Contains(err.Error(), "1048552") {
		t.Errorf("frame beyond the bound: %v", err)
	}
}

func TestPayloadSections(t *testing.T) {
	c := DecodePayload(samplePayload())
	want := []struct {
		o    Origin
		data string
	}{
		{Origin{}, "local one"},
		{Origin{}, ""},
		{Origin{3, 0x1122334455667788, 41}, "remote 41"},
		{Origin{3, 0x1122334455667788, 42}, "remote 42"},
		{Origin{3, 0x1122334455667788, 44}, "remote 44"},
		{Origin{300, 9, 1 << 40}, string(make([]byte, 70))},
		{Origin{300, 9, 1 << 41}, ""},
		{Origin{300, 9, 1<<41 + 1}, "in a session"},
		{Origin{300, 9, 1<<41 + 2}, ""},
		{Origin{300, 9, 1<<41 + 3}, "in a session"},
		{Origin{300, 9, 1<<41 + 4}, ""},
	}
	headers := append(make([]session.Header, 6), sampleHeaders()...)
	for i, w := range want {
		if !c.Next() || c.Ordinal() != uint32(i) || c.Origin() != w.o || string(c.Data()) != w.data || c.Session() != headers[i] {
			t.Errorf("command %d: %d %+v %+v %q, want %+v %+v %q (%v)", i, c.Ordinal(), c.Origin(), c.Session(), c.Data(), w.o, headers[i], w.data, c.Err())
		}
	}
	if c.Next() || c.Err() != nil {
		t.Errorf("a twelfth command, or %v", c.Err())
	}
}

// What a header says that no client means is refused, not guessed at.
func TestDamagedSessionHeaderIsRefused(t *testing.T) {
	for name, data := range map[string][]byte{
		"no header":              {},
		"unknown kind":           {6},
		"waits below the first":  {byte(session.Command), 1, 2, 3},
		"half a token":           append([]byte{byte(session.Once)}, make([]byte, 15)...),
		"command behind a fence": append([]byte{byte(session.Fence)}, make([]byte, 17)...),
		"command behind a close": {byte(session.Close), 1, 1},
	} {
		var b PayloadBuilder
		b.Add(Origin{}, Command{Data: data, Session: true})
		b.Add(Origin{}, Command{Data: make([]byte, 40)}) // which is not taken for the rest of it
		c := DecodePayload(b.Bytes())
		if c.Next() || !errors.Is(c.Err(), ErrCorrupt) {
			t.Errorf("%s: %+v, %v", name, c.Session(), c.Err())
		}
	}
}

func TestCommandCostsAtMostFourBytes(t *testing.T) {
	var b PayloadBuilder
	const n = 1000
	for _, size := range []int{16, 100, 10_000} {
		b.Reset(nil)
		for i := range n {
			b.Add(Origin{Host: 2, Life: 1 << 60, Seq: uint64(i)}, Command{Data: make([]byte, size)})
		}
		if over := float64(b.Len()-n*size) / n; over > 4 {
			t.Errorf("commands of %d bytes cost %.2f bytes each", size, over)
		}
		if b.Count() != n {
			t.Errorf("count is %d", b.Count())
		}
	}
}

func TestErrorNamesWhatOffsetExpectedFound(t *testing.T) {
	p := sampleFrame()
	copy(p, "GET ")
	_, err := ParseFrameHeader(p, 1<<20)
	want := `decode frame's magic at offset 0: expected "LSK1", found "GET "`
	if err == nil || err.Error() != want {
		t.Errorf("%v\nwant %s", err, want)
	}
}

func TestHotPathDoesNotAllocate(t *testing.T) {
	m, hb := sampleAppend(), sampleHeartbeat()
	buf := make([]byte, 0, 4096)
	encoded := AppendMessage(nil, &hb)
	payload := samplePayload()
	for what, f := range map[string]func(){
		"append":             func() { AppendMessage(buf, &m) },
		"heartbeat":          func() { AppendMessage(buf, &hb) },
		"packet":             func() { AppendPacket(buf, &Packet{Raft: &m}) },
		"decode a heartbeat": func() { _, _, _ = DecodeMessage(encoded) },
		"frame":              func() { FinishFrame(BeginFrame(buf), 0, 1) },
		"commands": func() {
			c := DecodePayload(payload)
			for c.Next() {
			}
		},
	} {
		if n := testing.AllocsPerRun(100, f); n > 0 {
			t.Errorf("%s: %v allocations", what, n)
		}
	}
}

// TestPacketsOfAFrameAreThoseOneByOne: sharing memory changes nothing that is read, and nothing that is read later.
func TestPacketsOfAFrameAreThoseOneByOne(t *testing.T) {
	one, beat := sampleAppend(), sampleHeartbeat()
	one.Entries = one.Entries[:1]
	var frame []byte
	for i := range 3 * arenaPiece {
		a, b, whole := one, beat, sampleAppend()
		a.Token, b.Token = uint64(i), uint64(i)
		for _, p := range []Packet{{Raft: &a}, {Raft: &b}, {Reply: sampleForwardReply()}, {Raft: &whole}} {
			frame = AppendPacket(frame, &p)
		}
		frame = append(frame, packetMayIgnore|9, 1, 0, 0, 0, 'x')
	}
	got, err := DecodePackets(nil, frame)
	if err != nil {
		t.Fatal(err)
	}
	for rest := frame; len(rest) > 0; {
		var want Packet
		if want, rest, err = DecodePacket(rest); err != nil {
			t.Fatal(err)
		}
		if want == (Packet{}) {
			break
		}
		same(t, "packet", got[0], want, nil)
		got = got[1:]
	}
	if len(got) > 0 {
		t.Errorf("%d packets too many", len(got))
	}
}
