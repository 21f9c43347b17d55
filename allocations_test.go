package lockstep_test

import (
	"context"
	"encoding/binary"
	"io"
	"log/slog"
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/lockstep-rsm/lockstep"
	"github.com/lockstep-rsm/lockstep/machine"
)

// tally adds up the first eight bytes of commands, without allocating anything.
type tally struct{ sum uint64 }

func (m *tally) Apply(batch []machine.Command, out *machine.Results) error {
	for i := range batch {
		m.sum += binary.LittleEndian.Uint64(batch[i].Data)
		out.Reply(binary.LittleEndian.AppendUint64(out.AvailableBuffer(), m.sum))
	}
	return nil
}

func (m *tally) View() machine.View { return tallyView(*m) }
func (m *tally) Load(_ machine.Version, r *machine.Reader) error {
	return binary.Read(r, binary.LittleEndian, &m.sum)
}
func (m *tally) Upgrade(machine.Version) error  { return nil }
func (m *tally) Deadline() (machine.Time, bool) { return 0, false }
func (m *tally) Digest() (machine.Digest, bool) { return machine.Digest(m.sum), true }

type tallyView tally

func (v tallyView) Query(_ []byte, w io.Writer) error {
	return binary.Write(w, binary.LittleEndian, v.sum)
}

func (v tallyView) Save(w *machine.Writer) error { return binary.Write(w, binary.LittleEndian, v.sum) }
func (tallyView) Close() error                   { return nil }

// tallies opens three hosts with a group of tallies.
func tallies(ctx context.Context, t *testing.T) *lockstep.Group {
	c := newTrio(t)
	for i := range 3 {
		h, err := lockstep.Open(ctx, lockstep.Options{
			Dir: c.dirs[i], Addr: c.addrs[i], Founders: c.addrs,
			Machines:        map[string]machine.Kind{"tally": {New: func(*machine.Place) (machine.StateMachine, error) { return new(tally), nil }}},
			WALSegmentBytes: 4 << 20, MaxWALBytes: 64 << 20, Logger: slog.New(slog.DiscardHandler),
		})
		if err != nil {
			t.Fatal(err)
		}
		c.hosts[i] = h
	}
	return c.leading(ctx, "tally")
}

// A command of 16 bytes costs at most two allocations from Propose to its result, on all three
// replicas together: what a batch costs is shared by those in it, and they need nothing of their own.
func TestCommandCostsAtMostTwoAllocations(t *testing.T) {
	ctx, cancel := context.WithTimeout(context.Background(), 60*time.Second)
	defer cancel()
	g := tallies(ctx, t)
	const clients, each = 512, 40
	load := func(each int) {
		var wg sync.WaitGroup
		for range clients {
			wg.Go(func() {
				cmd := make([]byte, 16)
				cmd[0] = 1
				for range each {
					if r, err := g.Propose(ctx, cmd); err != nil || len(r.Data) != 8 {
						t.Errorf("propose: %x, %v", r.Data, err)
						return
					}
				}
			})
		}
		wg.Wait()
	}
	load(4) // what is used again has to be there first
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	load(each)
	runtime.ReadMemStats(&after)
	if n := float64(after.Mallocs-before.Mallocs) / (clients * each); n > 2 {
		t.Errorf("%.2f allocations per command, want at most 2", n)
	} else {
		t.Logf("%.2f allocations per command", n)
	}
	r, err := g.Read(ctx, nil, lockstep.ReadOptions{})
	if err != nil || binary.LittleEndian.Uint64(r.Data) != clients*(each+4) {
		t.Errorf("read %x, %v; want %d", r.Data, err, clients*(each+4))
	}
}

// A command that is alone pays for its whole batch: for what three replicas keep of its entry, for its messages and
// frames, and for nothing that could be used again.
func TestLonelyCommandCostsFewAllocations(t *testing.T) {
	ctx, cancel := context.WithTimeout(context.Background(), 60*time.Second)
	defer cancel()
	g := tallies(ctx, t)
	cmd := make([]byte, 16)
	cmd[0] = 1
	load := func(n int) {
		for range n {
			if _, err := g.Propose(ctx, cmd); err != nil {
				t.Fatal(err)
			}
		}
	}
	load(200) // what is used again has to be there first
	const each = 1000
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	load(each)
	runtime.ReadMemStats(&after)
	if n := float64(after.Mallocs-before.Mallocs) / each; n > 18 {
		t.Errorf("%.1f allocations per command, want at most 18", n)
	} else {
		t.Logf("%.1f allocations per command", n)
	}
}
