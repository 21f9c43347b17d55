package machine_test

import (
	"encoding/json"
	"math/bits"
	"math/rand/v2"
	"testing"

	"github.com/lockstep-rsm/lockstep/machine"
)

// TestSeedIsTheSameInEveryBuild: replicas of different builds must draw the same numbers.
func TestSeedIsTheSameInEveryBuild(t *testing.T) {
	c := machine.Command{Index: 7, Ordinal: 3}
	c.SetSecret(0x0123456789abcdef, 0xfedcba9876543210)
	hi, lo := c.Seed()
	if wantHi, wantLo := uint64(0x774039d430834c7b), uint64(0xb2d8c4347e7ec8e3); hi != wantHi || lo != wantLo {
		t.Errorf("seed is %#x, %#x, want %#x, %#x", hi, lo, wantHi, wantLo)
	}
	if again, _ := c.Seed(); again != hi {
		t.Error("asked again, the seed is another")
	}
}

func TestSeedDependsOnSecretIndexAndOrdinal(t *testing.T) {
	seen := map[[2]uint64]bool{}
	n := 0
	for secret := range uint64(8) {
		for index := range machine.Index(16) {
			for ordinal := range uint32(64) {
				c := machine.Command{Index: index, Ordinal: ordinal}
				c.SetSecret(secret, 0)
				hi, lo := c.Seed()
				seen[[2]uint64{hi, lo}] = true
				n++
			}
		}
	}
	if len(seen) != n {
		t.Errorf("%d commands have %d seeds", n, len(seen))
	}
}

func TestSeedSpreadsEveryBit(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	const rounds = 2000
	flips := 0
	for range rounds {
		hi, lo, bit := r.Uint64(), r.Uint64(), r.IntN(64)
		var a, b machine.Command
		a.Index, b.Index = 5, 5
		a.SetSecret(hi, lo)
		b.SetSecret(hi^1<<bit, lo)
		a1, a2 := a.Seed()
		b1, b2 := b.Seed()
		flips += bits.OnesCount64(a1^b1) + bits.OnesCount64(a2^b2)
	}
	if mean := float64(flips) / rounds; mean < 60 || mean > 68 {
		t.Errorf("a bit of the secret flips %.1f of 128 bits of the seed, want about 64", mean)
	}
}

func TestDigestIsSixteenHexDigits(t *testing.T) {
	b, err := json.Marshal(machine.Digest(0xabc))
	if err != nil || string(b) != `"0000000000000abc"` {
		t.Errorf("in JSON it is %s, %v", b, err)
	}
	var d machine.Digest
	if err := json.Unmarshal(b, &d); err != nil || d != 0xabc {
		t.Errorf("back from JSON it is %v, %v", d, err)
	}
	for _, bad := range []string{"", "abc", "000000000000000g", "+00000000000000f", "00000000000000000"} {
		if err := d.UnmarshalText([]byte(bad)); err == nil {
			t.Errorf("%q is taken for %v", bad, d)
		}
	}
}
