package world

import (
	"context"
	"errors"
	"fmt"
	"io"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/lockstep-rsm/lockstep/env"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m)
}

// play runs f as a task of the driver in a fresh world until it returns.
func play(t *testing.T, seed uint64, o Options, f func(w *World)) *World {
	t.Helper()
	w := New(seed, o)
	defer w.Close()
	done := false
	w.Go(Driver, "test", func() {
		f(w)
		done = true
		w.Stop()
	})
	w.Run(time.Hour)
	if !done {
		t.Fatalf("seed %d: the test's task never ended:\n%s", seed, w.Dump())
	}
	return w
}

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// busy is a world in which everything happens: writers, echoes, timers, every fault.
func busy(seed uint64, trace io.Writer) (hash, events uint64) {
	w := New(seed, Options{Shuffle: seed%2 == 0, Trace: trace})
	defer w.Close()
	for h := range 3 {
		w.occupy(h)
	}
	w.Go(Driver, "faults", func() {
		for {
			w.Sleep(time.Duration(w.Rand().Int64N(int64(20 * time.Millisecond))))
			w.harm(w.Rand().IntN(8), w.Rand().IntN(3))
		}
	})
	w.Run(100 * time.Millisecond)
	return w.Hash(), w.Events()
}

// occupy gives host h's present process something to do for ever.
func (w *World) occupy(h int) {
	e := w.Host(h)
	w.Go(h, "server", func() {
		l, err := e.Net().Listen(w.Addr(h, 7000))
		if err != nil {
			panic(err)
		}
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			e.Run("echo", func() { _, _ = io.Copy(c, c); _ = c.Close() })
		}
	})
	w.Go(h, "client", func() {
		for {
			c, err := e.Net().Dial(context.Background(), w.Addr((h+1)%3, 7000))
			if err != nil {
				_ = e.NewWaiter().Wait(nil, e.Clock().Now()+10*time.Millisecond)
				continue
			}
			b := make([]byte, 64)
			for err == nil {
				e.Rand().Fill(b)
				_ = c.SetDeadline(e.Clock().Wall().Add(time.Second))
				if _, err = c.Write(b); err == nil {
					_, err = c.Read(b)
				}
			}
			_ = c.Close()
		}
	})
	w.Go(h, "disk", func() {
		_ = e.FS().MkdirAll("data")
		f, err := e.FS().Open(fmt.Sprintf("data/%d", e.Facts().PID), env.Read|env.Write|env.Create)
		for i := int64(0); err == nil; i++ {
			b := make([]byte, 3000)
			e.Rand().Fill(b)
			if _, err = f.WriteAt(b, i%20*1000); err == nil {
				err = f.Sync()
			}
		}
	})
	w.Go(h, "timer", func() {
		var timer env.Timer
		timer = e.Clock().AfterFunc(time.Millisecond, func() { timer.Reset(time.Duration(e.Rand().Uint64() % 1e6)) })
	})
}

// harm does one of eight things to host h.
func (w *World) harm(kind, h int) {
	next := (h + 1) % 3
	switch kind {
	case 0:
		w.Kill(h)
		w.Start(h)
		w.occupy(h)
	case 1:
		w.PowerOff(h, next)
		w.Sleep(time.Millisecond)
		for _, h := range []int{h, next} {
			w.Start(h)
			w.occupy(h)
		}
	case 2:
		w.Pause(h)
		w.Sleep(5 * time.Millisecond)
		w.Resume(h)
	case 3:
		w.Cut(h, next)
	case 4:
		w.HealAll()
	case 5:
		w.Messages(MessageFaults{Drop: 0.01, Double: 0.01, Reorder: 0.01, Delay: 0.1, MaxDelay: 1e6})
	case 6:
		w.Disk(h).FailNth(OpSync, 3, syscall.EIO)
	case 7:
		w.Drift(h, w.Rand().IntN(1000)-500)
		w.Note(h, "drifted", fmt.Append(nil, w.Rand().IntN(5)))
	}
}

func TestOneSeedGivesOneTrace(t *testing.T) {
	again, seeds := 200, uint64(50)
	if testing.Short() {
		again, seeds = 20, 5
	}
	seen := map[uint64]bool{}
	first, events := busy(1, nil)
	if events < 2000 {
		t.Fatalf("only %d events", events)
	}
	for i := range again {
		if h, n := busy(1, nil); h != first || n != events {
			t.Fatalf("run %d of seed 1: hash %x after %d events, before %x after %d", i, h, n, first, events)
		}
	}
	for seed := range seeds {
		h, _ := busy(seed, nil)
		if again, _ := busy(seed, nil); h != again || seen[h] {
			t.Fatalf("seed %d: hash %x, then %x; or another seed's", seed, h, again)
		}
		seen[h] = true
	}
}

func TestTraceIsTextAndChangesNothing(t *testing.T) {
	var b strings.Builder
	for seed := range uint64(10) {
		with, _ := busy(seed, &b)
		if without, _ := busy(seed, nil); with != without {
			t.Fatalf("seed %d: tracing changes the hash", seed)
		}
	}
	for _, line := range []string{" h1 kill pid=", " h0 power-off pid=", " cut to=h", " arrive from=h2 n=64", " h2 sync file=data/", " drifted "} {
		if !strings.Contains(b.String(), line) {
			t.Errorf("no line with %q", line)
		}
	}
}

func TestKilledLifeDoesNothingMore(t *testing.T) {
	var after []string
	play(t, 1, Options{}, func(w *World) {
		e := w.Host(0)
		waiter := e.NewWaiter()
		w.Go(0, "victim", func() {
			defer func() { after = append(after, "reached the end of its defers") }()
			defer func() { e.Clock().Now(); after = append(after, "read the clock") }()
			defer func() { _ = waiter.Wait(nil, 0); after = append(after, "waited") }()
			_ = waiter.Wait(nil, 0)
			after = append(after, "woke")
		})
		timer := false
		w.Go(0, "timer", func() { e.Clock().AfterFunc(time.Second, func() { timer = true }) })
		w.Go(0, "fresh", func() { w.Sleep(time.Millisecond) })
		w.Sleep(time.Millisecond)
		w.Kill(0)
		if w.Go(0, "late", func() {}) || w.Alive(0) {
			t.Error("a dead process runs tasks")
		}
		old := e.Facts
		w.Start(0)
		if w.Host(0).Facts().BootID == "" || w.Host(0).Facts().PID == 0 {
			t.Error("no facts")
		}
		w.Sleep(2 * time.Second)
		if timer {
			t.Error("a timer of the dead life fired")
		}
		_ = old
	})
	if len(after) != 1 {
		t.Fatalf("the killed task went on: %v", after)
	}
}

func TestBootIDChangesWithPowerOnly(t *testing.T) {
	play(t, 1, Options{}, func(w *World) {
		a := w.Host(1).Facts()
		w.Kill(1)
		b := w.Start(1).Facts()
		w.PowerOff(1)
		c := w.Start(1).Facts()
		if a.BootID != b.BootID || b.BootID == c.BootID || a.PID == b.PID {
			t.Errorf("%v %v %v", a, b, c)
		}
	})
}

func TestSuicideAndDo(t *testing.T) {
	play(t, 1, Options{}, func(w *World) {
		w.Go(2, "suicide", func() {
			w.Host(2).Enter()
			w.Kill(2)
			t.Error("lived on after its own kill")
		})
		w.Sleep(1)
		if w.Alive(2) || w.Do(2, func() {}) {
			t.Error("host 2 lives")
		}
		w.Start(2)
		e := w.Host(2)
		if !w.Do(2, func() { _ = e.NewWaiter().Wait(nil, e.Clock().Now()+time.Second) }) {
			t.Error("the process lives, yet Do says no")
		}
		w.Go(Driver, "killer", func() { w.Sleep(time.Second); w.PowerOff(2); w.Sleep(0) })
		at := w.Now()
		if w.Do(2, func() { _ = e.NewWaiter().Wait(nil, 0) }) {
			t.Error("the process died, yet Do says yes")
		}
		if w.Now() != at+time.Second {
			t.Errorf("Do ended at %v", w.Now())
		}
		w.Start(2)
		if !w.Do(2, func() { w.Do(2, func() { w.Sleep(1) }) }) {
			t.Error("nested Do")
		}
	})
}

func panicOf(w *World) (text string) {
	defer w.Close()
	defer func() { text = fmt.Sprint(recover()) }()
	w.Run(time.Minute)
	return ""
}

func TestTurnsMustNotPark(t *testing.T) {
	for name, f := range map[string]func(e env.Env){
		"wait":   func(e env.Env) { e.Enter(); _ = e.NewWaiter().Wait(nil, 0) },
		"open":   func(e env.Env) { e.Enter(); _, _ = e.FS().Open("x", env.Write|env.Create) },
		"dial":   func(e env.Env) { e.Enter(); _, _ = e.Net().Dial(context.Background(), "h1:1") },
		"timer":  func(e env.Env) { e.Clock().AfterFunc(1, func() { _ = e.NewWaiter().Wait(nil, 0) }) },
		"leave":  func(e env.Env) { e.Leave() },
		"thread": func(e env.Env) { e.Run("x", func() { e.Enter(); e.Enter(); e.Leave(); _ = e.FS().SyncDir("") }) },
	} {
		w := New(1, Options{})
		w.Go(0, name, func() { f(w.Host(0)) })
		if text := panicOf(w); !strings.Contains(text, "A11") {
			t.Errorf("%s: %s", name, text)
		}
	}
}

func TestPanicsNameSeedTaskAndPlace(t *testing.T) {
	w := New(77, Options{})
	w.Go(1, "culprit", func() { panic("boom") })
	if text := panicOf(w); !strings.Contains(text, "seed 77") || !strings.Contains(text, "h1.1/culprit") ||
		!strings.Contains(text, "boom") || !strings.Contains(text, "world_test.go") {
		t.Fatal(text)
	}
}

func TestForeignHandsAreRefused(t *testing.T) {
	w := New(1, Options{})
	w.Go(Driver, "test", func() { _ = w.Host(1).NewWaiter().Wait(nil, 0) })
	if text := panicOf(w); !strings.Contains(text, "World.Do") {
		t.Fatal(text)
	}
}

func TestContextsEndOnTheWorldsClock(t *testing.T) {
	play(t, 1, Options{}, func(w *World) {
		wait := w.NewWaiter()
		ctx, cancel := w.WithTimeout(w.Context(), time.Second)
		if err := wait.Wait(ctx, 0); !errors.Is(err, context.DeadlineExceeded) || w.Now() != time.Second {
			t.Errorf("%v at %v", err, w.Now())
		}
		cancel()
		ctx, cancel = w.WithCancel(context.Background())
		below, stop := w.WithTimeout(context.WithValue(ctx, t, 1), time.Hour)
		defer stop()
		derived := context.WithValue(below, t, 2)
		w.Go(Driver, "canceller", func() { w.Sleep(time.Second); cancel() })
		if err := wait.Wait(derived, 0); !errors.Is(err, context.Canceled) || w.Now() != 2*time.Second {
			t.Errorf("%v at %v", err, w.Now())
		}
		if From(derived) != w || From(context.Background()) != nil {
			t.Error("From")
		}
		if _, ok := below.Deadline(); !ok {
			t.Error("no deadline")
		}
		if len(w.ends) != 0 || len(w.heap) != 0 {
			t.Errorf("%d contexts and %d events are left", len(w.ends), len(w.heap))
		}
		foreign, end := context.WithCancel(context.Background())
		defer end()
		if err := wait.Wait(foreign, 0); !errors.Is(err, env.ErrContext) {
			t.Errorf("foreign: %v", err)
		}
		child, end2 := w.WithTimeout(foreign, time.Second)
		defer end2()
		if err := wait.Wait(child, 0); !errors.Is(err, env.ErrContext) {
			t.Errorf("child of a foreign one: %v", err)
		}
		parent, end3 := w.WithCancel(w.Context())
		std, end4 := context.WithCancel(parent)
		defer end4()
		end3()
		if std.Err() == nil {
			t.Error("package context did not notice the end")
		}
	})
}

func TestWaiterRemembersOneWake(t *testing.T) {
	play(t, 1, Options{}, func(w *World) {
		v := w.NewWaiter()
		v.Wake()
		v.Wake()
		check(t, v.Wait(nil, 0))
		now := w.Host(Driver).Clock().Now
		if err := v.Wait(nil, now()+time.Second); !errors.Is(err, env.ErrTimeout) {
			t.Error(err)
		}
		if err := v.Wait(nil, 1); !errors.Is(err, env.ErrTimeout) {
			t.Error(err)
		}
		w.Go(Driver, "late", func() { w.Sleep(time.Second); v.Wake() })
		check(t, v.Wait(nil, now()+2*time.Second))
		if w.Now() != 2*time.Second {
			t.Error(w.Now())
		}
	})
}

func TestPauseStopsTasksAndTimersOnly(t *testing.T) {
	play(t, 1, Options{}, func(w *World) {
		e := w.Host(1)
		var woke, fired, synced time.Duration
		w.Go(1, "sleeper", func() { w.Sleep(time.Second); woke = w.Now() })
		w.Go(1, "timer", func() { e.Clock().AfterFunc(time.Second, func() { fired = w.Now() }) })
		w.Go(1, "disk", func() {
			f, err := e.FS().Open("x", env.Write|env.Create)
			check(t, err)
			_, err = f.WriteAt([]byte("paused"), 0)
			check(t, err)
			w.Pause(1)
			check(t, f.Sync())
			synced = w.Now()
		})
		w.Sleep(3 * time.Second)
		if woke+fired+synced != 0 {
			t.Error("ran while paused")
		}
		if !strings.Contains(w.Dump(), "parked in sync since") {
			t.Error(w.Dump())
		}
		if f := w.Disk(1).find("x"); f.diff(0) != 0 {
			t.Error("the disk did not go on")
		}
		w.Resume(1)
		w.Sleep(1)
		if woke != 3*time.Second || fired != 3*time.Second || synced != 3*time.Second {
			t.Error(woke, fired, synced)
		}
	})
}

// diff is the sectors of page n that are not on the medium.
func (i *inode) diff(n int64) uint8 {
	if p := i.look(n); p != nil {
		return p.diff
	}
	return 0
}

func TestClocksDriftAndJump(t *testing.T) {
	play(t, 1, Options{}, func(w *World) {
		c := w.Host(0).Clock()
		a, wall := c.Now(), c.Wall()
		w.Drift(0, 200)
		w.Sleep(1000 * time.Second)
		if d := c.Now() - a; d != 1000*time.Second+200*time.Millisecond {
			t.Errorf("%v", d)
		}
		if d := c.Wall().Sub(wall); d != 1000*time.Second+200*time.Millisecond {
			t.Errorf("%v", d)
		}
		w.JumpWall(0, -time.Hour)
		if d := c.Wall().Sub(wall); d > -time.Minute {
			t.Errorf("%v", d)
		}
		for _, ppm := range []int{-400, 0, 999} {
			w.Drift(0, ppm)
			var took, began time.Duration
			w.Go(0, "timer", func() {
				began = w.Now()
				at := c.Now() + 100*time.Second
				_ = w.Host(0).NewWaiter().Wait(nil, at)
				if c.Now() < at || c.Now() > at+time.Microsecond {
					t.Errorf("woke at %v instead of %v", c.Now(), at)
				}
				took = w.Now() - began
			})
			w.Sleep(101 * time.Second)
			if off := took - 100*time.Second + 100*time.Microsecond*time.Duration(ppm); off.Abs() > time.Millisecond {
				t.Errorf("%d ppm: a bound of 100 s took %v", ppm, took)
			}
		}
	})
}

func TestSlowedClockHoldsTimersBack(t *testing.T) {
	play(t, 1, Options{}, func(w *World) {
		e := w.Host(0)
		at := e.Clock().Now() + 100*time.Second
		early := func(what string) {
			if now := e.Clock().Now(); now < at || now > at+time.Microsecond {
				t.Errorf("%s at %v instead of %v", what, now, at)
			}
		}
		ends := 0
		w.Go(0, "wait", func() { _ = e.NewWaiter().Wait(nil, at); early("woke"); ends++ })
		w.Go(0, "timer", func() { e.Clock().AfterFunc(100*time.Second, func() { early("fired"); ends++ }) })
		w.Sleep(time.Second)
		w.Drift(0, -50_000)
		w.Sleep(200 * time.Second)
		if ends != 2 {
			t.Error("a timer was lost")
		}
	})
}

func TestParkedForEverIsListed(t *testing.T) {
	w := New(1, Options{})
	defer w.Close()
	w.Go(1, "lonely", func() { _ = w.Host(1).NewWaiter().Wait(nil, 0) })
	if w.Run(time.Minute) {
		t.Fatal("something is left to happen")
	}
	if d := w.Dump(); !strings.Contains(d, "h1.1/lonely") || !strings.Contains(d, "wait") || w.Parked(1) != 1 {
		t.Fatal(d)
	}
	if w.Now() != time.Minute {
		t.Fatal(w.Now())
	}
}

func TestCoroutinesAreUsedAgain(t *testing.T) {
	play(t, 1, Options{}, func(w *World) {
		for range 1000 {
			w.Host(0).Run("short", func() {})
			w.Sleep(1)
		}
		if len(w.idle) > 2 {
			t.Errorf("%d coroutines", len(w.idle))
		}
	})
}

func TestFatalInATaskEndsTheTest(t *testing.T) {
	ok := make(chan bool, 1)
	env.OS().Run("test", func() {
		w := New(1, Options{})
		defer func() { ok <- true }()
		defer w.Close()
		w.Go(1, "parked", func() { _ = w.Host(1).NewWaiter().Wait(nil, 0) })
		w.Go(0, "exits", func() { w.Sleep(1); runtime.Goexit() })
		w.Run(time.Minute)
		ok <- false
	})
	if !<-ok {
		t.Fatal("Run returned")
	}
}

func BenchmarkPark(b *testing.B) {
	w := New(1, Options{})
	defer w.Close()
	x, y := w.NewWaiter(), w.NewWaiter()
	w.Go(Driver, "pong", func() {
		for {
			_ = x.Wait(nil, 0)
			y.Wake()
		}
	})
	w.Go(Driver, "ping", func() {
		for range b.N {
			x.Wake()
			_ = y.Wait(nil, 0)
		}
		w.Stop()
	})
	b.ReportAllocs()
	b.ResetTimer()
	w.Run(time.Hour)
	b.ReportMetric(float64(w.Events())/b.Elapsed().Seconds(), "events/s")
}

func BenchmarkTimers(b *testing.B) {
	w := New(1, Options{})
	defer w.Close()
	n := 0
	for range 1000 {
		var tm env.Timer
		e := w.Host(0)
		tm = e.Clock().AfterFunc(1, func() {
			if n++; n >= b.N {
				w.Stop()
			}
			tm.Reset(time.Duration(e.Rand().Uint64() % 1e6))
		})
	}
	b.ReportAllocs()
	b.ResetTimer()
	w.Run(time.Hour)
	b.ReportMetric(float64(w.Events())/b.Elapsed().Seconds(), "events/s")
}

func BenchmarkBusy(b *testing.B) {
	events := uint64(0)
	for i := range b.N {
		_, n := busy(uint64(i), nil)
		events += n
	}
	b.ReportMetric(float64(events)/b.Elapsed().Seconds(), "events/s")
}
