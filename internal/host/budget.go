package host

import (
	"sync"
	"sync/atomic"

	"github.com/lockstep-rsm/lockstep/env"
	"github.com/lockstep-rsm/lockstep/internal/wire"
)

// budget bounds the bytes of what waits (A9, H19). What comes while nothing waits is taken whatever
// its length: the bound refuses queues, not sizes.
type budget struct {
	most int64
	held atomic.Int64
}

// take holds n bytes, or says that there is no room. Nobody is refused for what is being refused to
// another at this moment, as a sum that is corrected afterwards would do.
func (b *budget) take(n int64) bool {
	for {
		held := b.held.Load()
		if held > 0 && held+n > b.most {
			return false
		}
		if b.held.CompareAndSwap(held, held+n) {
			return true
		}
	}
}

func (b *budget) give(n int64) { b.held.Add(-n) }

const (
	// callOverhead is what a waiting command costs of the inbox beside its bytes.
	callOverhead = 64
	// readOverhead is what a waiting read costs of it: the read, its waiter, its place in queues.
	readOverhead = 256
)

// callBytes is what a command costs of the inbox budget.
func callBytes(cmd []byte) int64 { return int64(len(cmd)) + callOverhead }

// forwardBytes is what a forward costs its leader while it waits there.
func forwardBytes(f *wire.Forward) (n int64) {
	for _, cmd := range f.Commands {
		n += callBytes(cmd.Data)
	}
	return n
}

// backlog is what one peer's link has brought and no turn has handled yet. The link's reader parks
// while it is above its bound: the peer's queue fills, and its sends are dropped (back-pressure). It
// parks beside the turn and holds nothing of it (A11): whoever runs the turn wakes it.
type backlog struct {
	most   int64
	held   atomic.Int64
	reader env.Waiter // one task at a time receives from one host
	mu     sync.Mutex
	spare  []wire.Packet // memory of packets that a turn has handled, for the next
}

// maxSparePackets is for how many packets at most a link's memory is kept.
const maxSparePackets = 64

// take gives memory for packets; nil: there is none.
func (b *backlog) take() []wire.Packet {
	b.mu.Lock()
	defer b.mu.Unlock()
	p := b.spare
	b.spare = nil
	return p
}

// keep takes the memory of packets that a turn has handled.
func (b *backlog) keep(p []wire.Packet) {
	if cap(p) > maxSparePackets {
		return
	}
	clear(p)
	b.mu.Lock()
	defer b.mu.Unlock()
	b.spare = p[:0]
}

func (b *backlog) add(n int64) { b.held.Add(n) }

// handled is the turn's word on n bytes.
func (b *backlog) handled(n int64) {
	if left := b.held.Add(-n); left <= b.most && left+n > b.most {
		b.reader.Wake()
	}
}

// await parks the reader until it may read on.
func (b *backlog) await() {
	for b.held.Load() > b.most {
		_ = b.reader.Wait(nil, 0) //nolint:staticcheck // the turn handles what waits, also as the host closes
	}
}
