package world

import (
	"context"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"os"
	"syscall"
	"testing"
	"time"

	"github.com/lockstep-rsm/lockstep/env"
)

// serve listens on host h and hands each connection to f on a task of its own.
func serve(t *testing.T, w *World, h int, f func(c net.Conn)) {
	t.Helper()
	l, err := w.Host(h).Net().Listen(w.Addr(h, 7000))
	check(t, err)
	w.Go(h, "accept", func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			w.Host(h).Run("serve", func() { f(c) })
		}
	})
}

func dial(t *testing.T, w *World, from, to int) net.Conn {
	t.Helper()
	c, err := w.Host(from).Net().Dial(w.Context(), w.Addr(to, 7000))
	check(t, err)
	return c
}

func put(c net.Conn, n uint64) error {
	_, err := c.Write(binary.BigEndian.AppendUint64(nil, n))
	return err
}

func get(c net.Conn) (uint64, error) {
	var b [8]byte
	_, err := io.ReadFull(c, b[:])
	return binary.BigEndian.Uint64(b[:]), err
}

// flow sends n numbers from host 1 to host 0 under faults and returns what arrived, until the end.
func flow(t *testing.T, seed uint64, n int, o Options, faults func(w *World)) (got []uint64, end error) {
	play(t, seed, o, func(w *World) {
		over := w.NewWaiter()
		serve(t, w, 0, func(c net.Conn) {
			for {
				x, err := get(c)
				if err != nil {
					end = err
					over.Wake()
					return
				}
				got = append(got, x)
			}
		})
		if faults != nil {
			w.Go(Driver, "faults", func() { faults(w) })
		}
		w.Go(1, "sender", func() {
			c := dial(t, w, 1, 0)
			for i := range n {
				if put(c, uint64(i)) != nil {
					return
				}
				if i%3 == 0 {
					w.Sleep(200 * time.Microsecond)
				}
			}
			check(t, c.Close())
		})
		check(t, over.Wait(nil, 0))
	})
	return got, end
}

func inOrder(got []uint64) bool {
	for i, x := range got {
		if x != uint64(i) {
			return false
		}
	}
	return true
}

func TestStreamsAreFIFO(t *testing.T) {
	for seed := range uint64(20) {
		got, end := flow(t, seed, 1000, Options{Shuffle: true, Window: 256}, nil)
		if len(got) != 1000 || !inOrder(got) || end != io.EOF {
			t.Fatalf("seed %d: %d arrived, %v", seed, len(got), end)
		}
	}
}

func TestFIFOSurvivesCutsAndDelays(t *testing.T) {
	for seed := range uint64(20) {
		got, end := flow(t, seed, 1000, Options{}, func(w *World) {
			w.Messages(MessageFaults{Delay: 0.3, MaxDelay: 5 * time.Millisecond})
			for range 20 {
				w.Sleep(3 * time.Millisecond)
				w.Cut(1, 0)
				w.Sleep(2 * time.Millisecond)
				w.Heal(1, 0)
			}
		})
		if len(got) != 1000 || !inOrder(got) || end != io.EOF {
			t.Fatalf("seed %d: %d arrived, %v", seed, len(got), end)
		}
	}
}

func TestWritesAreLostDoubledAndReorderedWhole(t *testing.T) {
	play(t, 1, Options{}, func(w *World) { w.Sleep(1) })
	lost, doubled, late := 0, 0, 0
	got, _ := flow(t, 4, 2000, Options{}, func(w *World) {
		w.Messages(MessageFaults{Drop: 0.05, Double: 0.05, Reorder: 0.05})
	})
	seen := map[uint64]int{}
	for i, x := range got {
		seen[x]++
		if i > 0 && x < got[i-1] {
			late++
		}
	}
	for i := range uint64(2000) {
		switch seen[i] {
		case 0:
			lost++
		case 2:
			doubled++
		}
	}
	if lost < 20 || doubled < 20 || late < 20 {
		t.Errorf("lost %d, doubled %d, late %d", lost, doubled, late)
	}
}

func TestCutIsOneWayAndBreaksAtLast(t *testing.T) {
	play(t, 1, Options{}, func(w *World) {
		var heard []uint64
		serve(t, w, 0, func(c net.Conn) {
			w.Host(0).Run("talk", func() {
				for put(c, 1) == nil {
					w.Sleep(time.Second)
				}
			})
			for {
				x, err := get(c)
				if err != nil {
					return
				}
				heard = append(heard, x)
			}
		})
		var broke, answers time.Duration
		w.Go(1, "client", func() {
			c := dial(t, w, 1, 0)
			w.Host(1).Run("hear", func() {
				for {
					if _, err := get(c); err != nil {
						return
					}
					answers = w.Now()
				}
			})
			for {
				if err := put(c, 2); err != nil {
					if !errors.Is(err, syscall.ETIMEDOUT) {
						t.Error(err)
					}
					broke = w.Now()
					return
				}
				w.Sleep(100 * time.Millisecond)
			}
		})
		w.Sleep(time.Second)
		w.Cut(1, 0)
		before := len(heard)
		if before == 0 {
			t.Error("nothing heard before the cut")
		}
		ctx, cancel := w.WithTimeout(w.Context(), time.Second)
		defer cancel()
		w.Do(1, func() {
			if _, err := w.Host(1).Net().Dial(ctx, "h0:7000"); !errors.Is(err, context.DeadlineExceeded) {
				t.Error(err)
			}
		})
		w.Sleep(30 * time.Second)
		if len(heard) > before+1 {
			t.Error("the cut lets through")
		}
		if broke < 6*time.Second || broke > 17*time.Second || answers < broke-2*time.Second {
			t.Errorf("broke at %v, last answer at %v", broke, answers)
		}
		if w.Traffic().Resets == 0 || w.Traffic().Held == 0 {
			t.Error(w.Traffic())
		}
	})
}

func TestRefusedAndUnanswered(t *testing.T) {
	play(t, 1, Options{}, func(w *World) {
		knock := func() (err error) {
			w.Do(1, func() { _, err = w.Host(1).Net().Dial(w.Context(), "h0:7000") })
			return err
		}
		if err := knock(); !errors.Is(err, syscall.ECONNREFUSED) {
			t.Error("nobody listens:", err)
		}
		w.Do(0, func() { serve(t, w, 0, func(net.Conn) {}) })
		check(t, knock())
		w.Pause(0)
		check(t, knock())
		w.Kill(0)
		if err := knock(); !errors.Is(err, syscall.ECONNREFUSED) {
			t.Error("a dead process on a live system:", err)
		}
		w.PowerOff(0)
		at := w.Now()
		if err := knock(); !errors.Is(err, syscall.ETIMEDOUT) || w.Now()-at != 20*time.Second {
			t.Error("a host without power:", err, w.Now()-at)
		}
		w.Go(Driver, "start", func() {
			w.Sleep(3 * time.Second)
			w.Start(0)
			w.Do(0, func() { serve(t, w, 0, func(net.Conn) {}) })
		})
		check(t, knock())
		w.Do(1, func() {
			var dns *net.DNSError
			if _, err := w.Host(1).Net().Dial(w.Context(), "h9:1"); !errors.As(err, &dns) {
				t.Error(err)
			}
			foreign, end := context.WithCancel(context.Background())
			defer end()
			if _, err := w.Host(1).Net().Dial(foreign, "h0:7000"); !errors.Is(err, env.ErrContext) {
				t.Error(err)
			}
			if _, err := w.Host(1).Net().Listen("h0:7000"); !errors.Is(err, syscall.EADDRNOTAVAIL) {
				t.Error(err)
			}
			_, err := w.Host(1).Net().Listen(":7000")
			check(t, err)
			if _, err := w.Host(1).Net().Listen("h1:7000"); !errors.Is(err, syscall.EADDRINUSE) {
				t.Error(err)
			}
		})
	})
}

// fate connects host 1 to host 0 and tells what host 1's pending Read gets when end happens.
func fate(t *testing.T, end func(w *World)) (after time.Duration, err error) {
	play(t, 2, Options{}, func(w *World) {
		w.Do(0, func() { serve(t, w, 0, func(c net.Conn) { _, _ = get(c); _, _ = get(c) }) })
		over := w.NewWaiter()
		at := time.Duration(0)
		w.Go(1, "client", func() {
			c := dial(t, w, 1, 0)
			check(t, put(c, 7))
			_, err = get(c)
			after = w.Now() - at
			over.Wake()
		})
		w.Sleep(time.Second)
		at = w.Now()
		w.Go(Driver, "end", func() { end(w) })
		_ = over.Wait(nil, w.Host(Driver).Clock().Now()+time.Minute)
	})
	return after, err
}

func TestWhatPeersHearOfAnEnd(t *testing.T) {
	if after, err := fate(t, func(w *World) { w.Kill(0) }); err != io.EOF || after > 2*time.Millisecond {
		t.Errorf("kill: %v after %v", err, after)
	}
	if _, err := fate(t, func(w *World) { w.ResetBetween(0, 1) }); !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("reset: %v", err)
	}
	if _, err := fate(t, func(w *World) { w.PowerOff(0); w.Sleep(time.Second); w.Start(0) }); err != nil {
		t.Errorf("power loss is silent for who only listens: %v", err)
	}
}

func TestOldConnectionIsResetByTheNewSystem(t *testing.T) {
	play(t, 2, Options{}, func(w *World) {
		w.Do(0, func() { serve(t, w, 0, func(c net.Conn) { _, _ = io.Copy(io.Discard, c) }) })
		var err error
		w.Go(1, "client", func() {
			c := dial(t, w, 1, 0)
			for err == nil {
				w.Sleep(10 * time.Millisecond)
				err = put(c, 1)
			}
		})
		w.Sleep(time.Second)
		w.PowerOff(0)
		w.Sleep(time.Second)
		if err != nil {
			t.Error("broke while nobody could tell:", err)
		}
		w.Start(0)
		w.Sleep(time.Second)
		if !errors.Is(err, syscall.ECONNRESET) {
			t.Error(err)
		}
	})
}

func TestDeadlinesAndClose(t *testing.T) {
	play(t, 1, Options{}, func(w *World) {
		w.Do(0, func() { serve(t, w, 0, func(net.Conn) { w.Sleep(time.Hour) }) })
		w.Do(1, func() {
			c := dial(t, w, 1, 0)
			wall := w.Host(1).Clock().Wall
			at := w.Now()
			check(t, c.SetReadDeadline(wall().Add(time.Second)))
			if _, err := get(c); !errors.Is(err, os.ErrDeadlineExceeded) || w.Now()-at != time.Second {
				t.Error(err, w.Now()-at)
			}
			check(t, c.SetReadDeadline(time.Time{}))
			w.Host(1).Run("past", func() { w.Sleep(time.Second); check(t, c.SetDeadline(time.Unix(1, 0))) })
			if _, err := get(c); !errors.Is(err, os.ErrDeadlineExceeded) {
				t.Error(err)
			}
			check(t, c.SetDeadline(time.Time{}))
			check(t, c.SetWriteDeadline(wall().Add(time.Second)))
			var err error
			for n := 0; err == nil; n++ {
				if _, err = c.Write(make([]byte, 100_000)); n > 11 {
					t.Fatal("the window has no end")
				}
			}
			if !errors.Is(err, os.ErrDeadlineExceeded) {
				t.Error(err)
			}
			check(t, c.SetDeadline(time.Time{}))
			w.Host(1).Run("close", func() { w.Sleep(time.Second); check(t, c.Close()) })
			if _, err := get(c); !errors.Is(err, net.ErrClosed) {
				t.Error(err)
			}
			if err := put(c, 1); !errors.Is(err, net.ErrClosed) {
				t.Error(err)
			}
			if c.Close() == nil || c.LocalAddr().Network() != "tcp" || c.RemoteAddr().String() != "h0:7000" {
				t.Error("closed twice, or wrong addresses")
			}
		})
	})
}

func TestListenerEndsItsAccept(t *testing.T) {
	play(t, 1, Options{}, func(w *World) {
		w.Do(0, func() {
			l, err := w.Host(0).Net().Listen("127.0.0.1:0")
			check(t, err)
			w.Host(0).Run("close", func() { w.Sleep(time.Second); check(t, l.Close()) })
			if _, err := l.Accept(); !errors.Is(err, net.ErrClosed) {
				t.Error(err)
			}
			_, err = w.Host(0).Net().Listen(l.Addr().String())
			check(t, err)
		})
	})
}

func TestConnectionsAreForgotten(t *testing.T) {
	play(t, 1, Options{}, func(w *World) {
		w.Do(0, func() { serve(t, w, 0, func(c net.Conn) { _, _ = get(c); _ = c.Close() }) })
		for range 50 {
			w.Do(1, func() { check(t, dial(t, w, 1, 0).Close()) })
			w.Go(1, "client", func() { _, _ = get(dial(t, w, 1, 0)) })
			w.Sleep(10 * time.Millisecond)
			w.Kill(1)
			w.Start(1)
			w.Sleep(10 * time.Millisecond)
		}
		if n := len(w.net.streams) + len(w.host(0).life.ends) + len(w.host(1).life.ends); n != 0 {
			t.Errorf("%d ends are left", n)
		}
	})
}
