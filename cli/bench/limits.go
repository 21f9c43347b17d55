package bench

import (
	"context"
	"fmt"
	"io"
	"net"
	"path/filepath"
	"runtime"
	"sync"
	"time"

	"github.com/lockstep-rsm/lockstep/env"
)

// survey measures the machine: the disk of dir and the loopback network.
func survey(ctx context.Context, e env.Env, dir string, budget time.Duration) (Machine, error) {
	m := Machine{System: runtime.GOOS + "/" + runtime.GOARCH, Go: runtime.Version(), Cores: runtime.GOMAXPROCS(0)}
	var err error
	if m.FreeBytes, err = e.FS().Free(dir); err != nil {
		return m, fmt.Errorf("measure disk: %w", err)
	}
	if m.FreeBytes < leastFree {
		return m, fmt.Errorf("measure disk: %d MiB are free under %s, a run needs %d. Give another directory with --dir", m.FreeBytes>>20, dir, leastFree>>20)
	}
	if m.Direct, err = syncTimes(ctx, e, dir, env.Direct, budget); err != nil {
		return m, err
	}
	if m.Fdatasync, err = syncTimes(ctx, e, dir, 0, budget); err != nil {
		return m, err
	}
	m.RoundTrip, err = roundTrips(ctx, e, budget)
	return m, err
}

// leastFree is the room that a run needs: the logs of three replicas.
const leastFree = 2 << 30

// floor derives what no write and no read can beat.
func (m *Machine) floor(fdatasync bool) Floor {
	sync := m.Direct.P50
	if fdatasync {
		sync = m.Fdatasync.P50
	}
	return Floor{Write: m.RoundTrip.P50 + sync, Read: m.RoundTrip.P50}
}

// blocks are written again and again in turn.
const blocks = 256

// syncTimes measures durable writes of one block into written blocks of three files at once, as the
// replicas of a run make them.
func syncTimes(ctx context.Context, e env.Env, dir string, mode env.Mode, budget time.Duration) (Times, error) {
	var times histogram
	var wg sync.WaitGroup
	errs := make([]error, 3)
	files := make([]env.File, 3)
	for i := range files {
		name := filepath.Join(dir, fmt.Sprintf("sync%d", i+1))
		f, err := e.FS().Open(name, env.Write|env.Create|mode)
		if err != nil {
			return Times{}, fmt.Errorf("measure disk: %w", err)
		}
		defer func() { _ = e.FS().Remove(name) }()
		defer f.Close()
		if err := f.Allocate(blocks * env.BlockSize); err != nil {
			return Times{}, fmt.Errorf("measure disk: %w", err)
		}
		if err := f.Sync(); err != nil {
			return Times{}, fmt.Errorf("measure disk: %w", err)
		}
		files[i] = f
	}
	end := e.Clock().Now() + budget
	for i, f := range files {
		wg.Add(1)
		e.Run("bench disk", func() {
			defer wg.Done()
			block := env.Aligned(env.BlockSize)
			for n := int64(0); ctx.Err() == nil && (n < 10 || e.Clock().Now() < end); n++ {
				began := e.Clock().Now()
				if errs[i] = f.WriteSync(block, n%blocks*env.BlockSize); errs[i] != nil {
					return
				}
				times.add(e.Clock().Now() - began)
			}
		})
	}
	wg.Wait()
	for _, err := range append(errs, ctx.Err()) {
		if err != nil {
			return Times{}, fmt.Errorf("measure disk: %w", err)
		}
	}
	return times.times(), nil
}

func (h *histogram) times() Times {
	return Times{P50: micros(h.quantile(0.5)), P99: micros(h.quantile(0.99))}
}

// roundTrips measures a message of 128 bytes to an echo on loopback.
func roundTrips(ctx context.Context, e env.Env, budget time.Duration) (Times, error) {
	l, err := e.Net().Listen("127.0.0.1:0")
	if err != nil {
		return Times{}, fmt.Errorf("measure network: %w", err)
	}
	defer l.Close()
	e.Run("bench echo", func() {
		c, err := l.Accept()
		if err != nil {
			return // the dial failed, and says why
		}
		defer c.Close()
		var b [128]byte
		for {
			if _, err := io.ReadFull(c, b[:]); err != nil {
				return
			}
			if _, err := c.Write(b[:]); err != nil {
				return
			}
		}
	})
	c, err := e.Net().Dial(ctx, l.Addr().String())
	if err != nil {
		return Times{}, fmt.Errorf("measure network: %w", err)
	}
	defer c.Close()
	return ping(ctx, e, c, budget)
}

func ping(ctx context.Context, e env.Env, c net.Conn, budget time.Duration) (Times, error) {
	var times histogram
	var b [128]byte
	end := e.Clock().Now() + budget
	for n := 0; n < 10 || e.Clock().Now() < end; n++ {
		began := e.Clock().Now()
		if _, err := c.Write(b[:]); err != nil {
			return Times{}, fmt.Errorf("measure network: %w", err)
		}
		if _, err := io.ReadFull(c, b[:]); err != nil {
			return Times{}, fmt.Errorf("measure network: %w", err)
		}
		times.add(e.Clock().Now() - began)
		if err := ctx.Err(); err != nil {
			return Times{}, err
		}
	}
	return times.times(), nil
}
