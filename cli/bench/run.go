package bench

import (
	"context"
	"fmt"
	"os"
	"runtime"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/lockstep-rsm/lockstep"
	"github.com/lockstep-rsm/lockstep/env"
)

// The operations of a row.
const (
	opWrite = "write"
	opRead  = "read"
)

// A Plan says what to measure: writes for each number of clients and each size, and reads for each
// number of clients.
type Plan struct {
	Dir       string // on the disk to be measured; a folder is made in it, and removed
	Ops       []string
	Clients   []int
	Sizes     []int
	Duration  time.Duration // of a row's measured time; a fifth of it goes before
	Fdatasync bool          // Options.Fdatasync
	Version   string

	Env      env.Env
	Progress func(row string) // called before each step
}

// The bounds of a plan.
const (
	MaxRows     = 64
	MaxClients  = 16384
	MaxSize     = 1 << 20
	MinSize     = 1
	MaxDuration = 10 * time.Minute
)

// Check refuses a plan that cannot be run, in words for whoever typed it.
func (p *Plan) Check() error {
	for _, op := range p.Ops {
		if op != opWrite && op != opRead {
			return fmt.Errorf("unknown operation %q. It is write or read", op)
		}
	}
	for _, n := range p.Clients {
		if n < 1 || n > MaxClients {
			return fmt.Errorf("%d clients. It is 1 to %d", n, MaxClients)
		}
	}
	for _, n := range p.Sizes {
		if n < MinSize || n > MaxSize {
			return fmt.Errorf("a size of %d bytes. It is %d to %d", n, MinSize, MaxSize)
		}
	}
	if p.Duration <= 0 || p.Duration > MaxDuration {
		return fmt.Errorf("a duration of %v. It is above 0, and at most %v", p.Duration, MaxDuration)
	}
	if n := len(p.rows()); n < 1 || n > MaxRows {
		return fmt.Errorf("%d rows. A run has 1 to %d: operations, clients and sizes multiply", n, MaxRows)
	}
	return nil
}

func (p *Plan) rows() (rows []Row) {
	for _, op := range p.Ops {
		for _, clients := range p.Clients {
			if op == opRead {
				rows = append(rows, Row{Op: op, Clients: clients})
				continue
			}
			for _, size := range p.Sizes {
				rows = append(rows, Row{Op: op, Clients: clients, Size: size})
			}
		}
	}
	return rows
}

// Run measures the machine, then the rows. The end of ctx ends it early, with its error.
func Run(ctx context.Context, p Plan) (*Report, error) {
	if err := p.Check(); err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp(p.Dir, "lockstep-bench-")
	if err != nil {
		return nil, fmt.Errorf("make a directory for the run: %w", err)
	}
	defer os.RemoveAll(dir)
	r := &Report{Format: Format, Lockstep: p.Version, Time: p.Env.Clock().Wall().UTC().Format(time.RFC3339), Log: "direct"}
	if p.Fdatasync {
		r.Log = "fdatasync"
	}
	p.Progress("the machine alone")
	if r.Machine, err = survey(ctx, p.Env, dir, min(p.Duration/3, 500*time.Millisecond)); err != nil {
		return nil, err
	}
	r.Floor = r.Machine.floor(p.Fdatasync)
	p.Progress("three hosts")
	t, err := openTrio(ctx, p.Env, dir, p.Fdatasync)
	if err != nil {
		return nil, err
	}
	defer t.close()
	for _, row := range p.rows() {
		p.Progress(row.Name())
		if err := p.measure(ctx, t.leader(), &row); err != nil {
			return nil, err
		}
		row.Floor = r.Floor.Write
		if row.Op == opRead {
			row.Floor = r.Floor.Read
		}
		row.TimesFloor = row.P50 / max(row.Floor, 1e-3)
		r.Rows = append(r.Rows, row)
	}
	return r, nil
}

// load is what the clients of a row share.
type load struct {
	g         *lockstep.Group
	row       *Row
	measuring atomic.Bool
	stopped   atomic.Bool
	errors    atomic.Uint64
	lastError atomic.Value // of error
	times     histogram
}

func (p *Plan) measure(ctx context.Context, g *lockstep.Group, row *Row) error {
	l := &load{g: g, row: row}
	var wg sync.WaitGroup
	wg.Add(row.Clients)
	for range row.Clients {
		p.Env.Run("bench client", func() {
			defer wg.Done()
			l.client(ctx, p.Env.Clock())
		})
	}
	pause(ctx, p.Duration/5)
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	cpu, began := cpuTime(), p.Env.Clock().Now()
	l.measuring.Store(true)
	pause(ctx, p.Duration)
	l.measuring.Store(false)
	elapsed := p.Env.Clock().Now() - began
	cpu = cpuTime() - cpu
	runtime.ReadMemStats(&after)
	l.stopped.Store(true)
	wg.Wait()
	if err := ctx.Err(); err != nil {
		return err
	}
	row.Count, row.Errors = l.times.total(), l.errors.Load()
	if err, failed := l.lastError.Load().(error); failed && row.Count == 0 {
		return fmt.Errorf("measure %s: nothing ended well, the last error: %w", row.Name(), err)
	}
	n := float64(max(row.Count, 1))
	row.Seconds = elapsed.Seconds()
	row.Rate = float64(row.Count) / row.Seconds
	row.P50, row.P90, row.P99, row.P999 = micros(l.times.quantile(0.5)), micros(l.times.quantile(0.9)), micros(l.times.quantile(0.99)), micros(l.times.quantile(0.999))
	row.Max = micros(time.Duration(l.times.longest.Load()))
	row.CPU = micros(cpu) / n
	row.Allocs = float64(after.Mallocs-before.Mallocs) / n
	row.Histogram = l.times.buckets()
	return nil
}

func (l *load) client(ctx context.Context, clock env.Clock) {
	cmd := make([]byte, l.row.Size)
	for !l.stopped.Load() && ctx.Err() == nil {
		began := clock.Now()
		var err error
		if l.row.Op == opRead {
			_, err = l.g.Read(ctx, nil, lockstep.ReadOptions{})
		} else {
			_, err = l.g.Propose(ctx, cmd)
		}
		took := clock.Now() - began
		switch {
		case err != nil:
			l.lastError.CompareAndSwap(nil, err)
			l.errors.Add(1)
			pause(ctx, time.Millisecond)
		case l.measuring.Load():
			l.times.add(took)
		}
	}
}

// pause waits, or until ctx ends.
func pause(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}

// cpuTime is the processor time that this process has used.
func cpuTime() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
