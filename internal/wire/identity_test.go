package wire

import (
	"errors"
	"testing"

	"github.com/lockstep-rsm/lockstep/raft"
)

func sampleIdentity() raft.Identity {
	return raft.Identity{
		Group: 7, Birth: 0x1122334455667788, Kind: raft.KindCommands, Flags: raft.FlagMark, Term: 3, Index: 42,
		Time: 99_000_000_001, Length: 1000, Payload: 0xdeadbeefcafe, Prev: 0x0123456789abcdef,
	}
}

func TestIdentityRoundTrip(t *testing.T) {
	for _, want := range []raft.Identity{{}, sampleIdentity()} {
		p := AppendIdentity([]byte("x"), &want)
		got, rest, err := DecodeIdentity(append(p[1:], 9))
		if err != nil || got != want || len(rest) != 1 {
			t.Fatalf("round trip of %+v: %+v, %d bytes left, %v", want, got, len(rest), err)
		}
		for n := range IdentitySize {
			if _, _, err := DecodeIdentity(p[1 : 1+n]); !errors.Is(err, ErrCorrupt) {
				t.Fatalf("identity cut to %d bytes: %v", n, err)
			}
		}
	}
}

func TestIdentityRefusesUnknown(t *testing.T) {
	id := sampleIdentity()
	for _, at := range []int{0, 1, 2} {
		p := AppendIdentity(nil, &id)
		p[at] = 200
		if _, _, err := DecodeIdentity(p); !errors.Is(err, ErrCorrupt) {
			t.Errorf("byte %d changed to 200 is accepted: %v", at, err)
		}
	}
}

func TestHardStateRoundTrip(t *testing.T) {
	want := raft.HardState{Term: 1 << 40, Vote: 5}
	got, rest, err := DecodeHardState(AppendHardState(nil, want))
	if err != nil || got != want || len(rest) != 0 {
		t.Fatalf("round trip: %+v %v", got, err)
	}
	if _, _, err := DecodeHardState(make([]byte, HardStateSize-1)); !errors.Is(err, ErrCorrupt) {
		t.Fatalf("short hard state: %v", err)
	}
}
