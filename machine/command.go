package machine

import "math/bits"

// A Command is one client's request at its place in the log: a machine's only source of time and
// randomness.
type Command struct {
	Data    []byte // the client's bytes; valid during Apply only: copy what is kept
	Index   Index  // entry of the log
	Ordinal uint32 // command within the entry; (Index, Ordinal) names it for ever
	Tick    bool   // no client: the Deadline has come; its result is an empty Reply
	Time    Time   // log time of the entry

	secretHi, secretLo uint64 // of the entry; Seed derives from it
}

// SetSecret gives the command the secret that Seed derives from. It is the engine's, and a test's
// that stands in for the engine. The two words must be equal on every replica, differ from entry to
// entry, and be unknown to clients until the entry is appended; all commands of one entry may share
// them, since Seed mixes in the ordinal.
func (c *Command) SetSecret(hi, lo uint64) { c.secretHi, c.secretLo = hi, lo }

// Seed gives two random words: equal on every replica, unknown to clients beforehand, different for
// each command, derived when asked and the same at each asking. Use it as
// rand.New(rand.NewPCG(c.Seed())).
func (c *Command) Seed() (uint64, uint64) {
	// Two rounds of multiply-and-fold over the secret and the command's name: every bit of each
	// reaches every bit of both words. The secret carries the unpredictability; this only spreads it.
	a := fold(c.secretHi^0x9e3779b97f4a7c15, c.secretLo^(uint64(c.Index)+0xd1b54a32d192ed03))
	b := fold(c.secretLo^0xa0761d6478bd642f, c.secretHi^(uint64(c.Ordinal)+0xe7037ed1a0b428db))
	return spread(a ^ bits.RotateLeft64(b, 32)), spread(b + a*0x8ebc6af09c88c6e3)
}

// fold multiplies to 128 bits and xors the halves.
func fold(a, b uint64) uint64 {
	hi, lo := bits.Mul64(a, b)
	return hi ^ lo
}

// spread is a bijection in which every bit of x moves half of the result's.
func spread(x uint64) uint64 {
	x ^= x >> 30
	x *= 0xbf58476d1ce4e5b9
	x ^= x >> 27
	x *= 0x94d049bb133111eb
	return x ^ x>>31
}
