package machine

import "iter"

// A Place is where a replica's machine lives.
type Place struct {
	Dir     string  // the replica's own, untouched by the engine, removed with the replica
	Version Version // what an empty machine starts with

	kept  bool
	store Store
}

// Keep is unstable. Said inside Kind.New, it declares that the state outlives the process: the
// engine replays from the bound position exactly, or refuses to start.
func (p *Place) Keep(s Store) { p.kept, p.store = true, s }

// Kept is the engine's: what Keep was told; ok is false if it was not called.
func (p *Place) Kept() (s Store, ok bool) { return p.store, p.kept }

// A Store is unstable. It is the durable side of a machine that keeps its own.
type Store struct {
	Bound iter.Seq2[[]byte, []byte] // records of the last durable Bind; nil: empty store
	Sync  func() error              // makes all that was applied durable: the log is cut behind it only
}
