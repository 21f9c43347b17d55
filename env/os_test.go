package env

import (
	"bytes"
	"context"
	"errors"
	"io"
	"io/fs"
	"path/filepath"
	"runtime"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

const patience = 10 * time.Second // for what must come at once

func TestDirectAndPlainWritesReadBack(t *testing.T) {
	for name, mode := range map[string]Mode{"plain": 0, "direct": Direct} {
		t.Run(name, func(t *testing.T) {
			disk, path := OS().FS(), filepath.Join(t.TempDir(), "f")
			f, err := disk.Open(path, Read|Write|Create|mode)
			if err != nil {
				t.Fatal(err)
			}
			defer f.Close()
			if err := f.Allocate(64 << 10); err != nil {
				t.Fatal(err)
			}
			block := Aligned(2 * BlockSize)
			for i := range block {
				block[i] = byte(i % 251)
			}
			if err := f.WriteSync(block, BlockSize); err != nil {
				t.Fatal(err)
			}
			if _, err := f.WriteAt([]byte("tail"), 64<<10-4); err != nil {
				t.Fatal(err)
			}
			if err := f.Sync(); err != nil {
				t.Fatal(err)
			}
			if err := f.DropCache(); err != nil {
				t.Fatal(err)
			}
			got := make([]byte, 64<<10)
			if _, err := f.ReadAt(got, 0); err != nil {
				t.Fatal(err)
			}
			want := make([]byte, 64<<10)
			copy(want[BlockSize:], block)
			copy(want[64<<10-4:], "tail")
			if !bytes.Equal(got, want) {
				t.Fatal("read back something else")
			}
		})
	}
}

func TestMisalignedDirectWritePanics(t *testing.T) {
	f, err := OS().FS().Open(filepath.Join(t.TempDir(), "f"), Read|Write|Create|Direct)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	defer func() {
		if recover() == nil {
			t.Fatal("a misaligned direct write was taken")
		}
	}()
	_ = f.WriteSync(Aligned(2 * BlockSize)[512:512+BlockSize], 0)
}

func TestAllocateGrowsWithZeroesAndNeverShrinks(t *testing.T) {
	f, err := OS().FS().Open(filepath.Join(t.TempDir(), "f"), Read|Write|Create)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := f.WriteAt([]byte("head"), 0); err != nil {
		t.Fatal(err)
	}
	for _, size := range []int64{3<<20 + 17, 100} {
		if err := f.Allocate(size); err != nil {
			t.Fatal(err)
		}
	}
	if n, err := f.Size(); err != nil || n != 3<<20+17 {
		t.Fatalf("size %d, %v", n, err)
	}
	got := make([]byte, 3<<20+17)
	if _, err := f.ReadAt(got, 0); err != nil {
		t.Fatal(err)
	}
	if string(got[:4]) != "head" || bytes.Count(got[4:], []byte{0}) != len(got)-4 {
		t.Fatal("what was never written is not zero")
	}
}

// Blocks that are only reserved are read as zeroes, around what is written to them in either way.
func TestReservedBlocksAreZeroesUntilTheyAreWritten(t *testing.T) {
	for name, mode := range map[string]Mode{"plain": 0, "direct": Direct} {
		t.Run(name, func(t *testing.T) {
			f, err := OS().FS().Open(filepath.Join(t.TempDir(), "f"), Read|Write|Create|mode)
			if err != nil {
				t.Fatal(err)
			}
			defer f.Close()
			for _, size := range []int64{256 << 10, 100} { // it never shrinks
				if err := f.Reserve(size); err != nil {
					t.Fatal(err)
				}
			}
			if n, err := f.Size(); err != nil || n != 256<<10 {
				t.Fatalf("size %d, %v", n, err)
			}
			block := Aligned(BlockSize)
			for i := range block {
				block[i] = byte(i%251) + 1
			}
			if err := f.WriteSync(block, 5*BlockSize); err != nil {
				t.Fatal(err)
			}
			if err := f.DropCache(); err != nil {
				t.Fatal(err)
			}
			got, want := make([]byte, 256<<10), make([]byte, 256<<10)
			copy(want[5*BlockSize:], block)
			if _, err := f.ReadAt(got, 0); err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(got, want) {
				t.Fatal("read back something else")
			}
		})
	}
}

func TestNamesAndTheirErrors(t *testing.T) {
	disk, root := OS().FS(), t.TempDir()
	dir := filepath.Join(root, "a", "b", "c")
	for range 2 {
		if err := disk.MkdirAll(dir); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range []string{"2", "1", "3"} {
		f, err := disk.Open(filepath.Join(dir, name), Write|Create)
		if err != nil {
			t.Fatal(err)
		}
		f.Close()
	}
	if _, err := disk.Open(filepath.Join(dir, "1"), Write|Create); !errors.Is(err, fs.ErrExist) {
		t.Fatalf("create over a file: %v", err)
	}
	if _, err := disk.Open(filepath.Join(dir, "9"), Read); !errors.Is(err, fs.ErrNotExist) {
		t.Fatalf("open nothing: %v", err)
	}
	if err := disk.Rename(filepath.Join(dir, "3"), filepath.Join(dir, "1")); err != nil {
		t.Fatal(err)
	}
	if err := disk.SyncDir(dir); err != nil {
		t.Fatal(err)
	}
	infos, err := disk.ReadDir(dir)
	if err != nil || len(infos) != 2 || infos[0].Name != "1" || infos[1].Name != "2" {
		t.Fatalf("%v, %v", infos, err)
	}
	if info, err := disk.Stat(dir); err != nil || !info.Dir || info.Name != "c" {
		t.Fatalf("%v, %v", info, err)
	}
	if err := disk.Remove(filepath.Join(dir, "2")); err != nil {
		t.Fatal(err)
	}
	if err := disk.RemoveAll(filepath.Join(root, "a")); err != nil {
		t.Fatal(err)
	}
	if _, err := disk.Stat(dir); !errors.Is(err, fs.ErrNotExist) {
		t.Fatalf("stat of a removed one: %v", err)
	}
	if free, err := disk.Free(root); err != nil || free <= 0 {
		t.Fatalf("free %d, %v", free, err)
	}
}

func TestLockNamesItsHolderAndComesBackBug87(t *testing.T) {
	disk, name := OS().FS(), filepath.Join(t.TempDir(), "LOCK")
	held, err := disk.Lock(name)
	if err != nil {
		t.Fatal(err)
	}
	var locked *LockedError
	if _, err := disk.Lock(name); !errors.As(err, &locked) || locked.Owner == "" || locked.Name != name {
		t.Fatalf("second lock: %v", err)
	}
	for _, look := range []FS{disk, ReadOnly(OS()).FS()} {
		if err := look.Locked(name); !errors.As(err, &locked) || locked.Owner == "" || locked.Name != name {
			t.Fatalf("look at a held lock: %v", err)
		}
	}
	if err := held.Close(); err != nil {
		t.Fatal(err)
	}
	for _, free := range []string{name, name + "-absent"} {
		if err := disk.Locked(free); err != nil {
			t.Fatalf("look at %s: %v", free, err)
		}
	}
	if _, err := disk.Stat(name + "-absent"); !errors.Is(err, fs.ErrNotExist) {
		t.Fatalf("looking made the file: %v", err)
	}
	again, err := disk.Lock(name)
	if err != nil {
		t.Fatal(err)
	}
	again.Close()
}

// Whoever looks whether a lock is held keeps nobody from taking it.
func TestLookingAtALockIsInNobodysWay(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("the kernel is asked about locks on Linux alone: see isLocked")
	}
	disk, name := OS().FS(), filepath.Join(t.TempDir(), "LOCK")
	var ends atomic.Bool
	var lookers sync.WaitGroup
	for range 4 {
		lookers.Go(func() {
			for !ends.Load() {
				if err := disk.Locked(name); err != nil && !errors.As(err, new(*LockedError)) {
					t.Error(err)
					return
				}
			}
		})
	}
	for range 3000 {
		held, err := disk.Lock(name)
		if err != nil {
			t.Error(err)
			break
		}
		held.Close()
	}
	ends.Store(true)
	lookers.Wait()
}

func TestRefusedDialSaysSo(t *testing.T) {
	world := OS().Net()
	l, err := world.Listen("127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := l.Addr().String()
	done := make(chan error, 1)
	OS().Run("echo", func() {
		c, err := l.Accept()
		if err == nil {
			_, err = io.Copy(c, c)
			c.Close()
		}
		done <- err
	})
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	c, err := world.Dial(ctx, addr)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.Write([]byte("ping")); err != nil {
		t.Fatal(err)
	}
	got := make([]byte, 4)
	if _, err := io.ReadFull(c, got); err != nil || string(got) != "ping" {
		t.Fatalf("%q, %v", got, err)
	}
	c.Close()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	l.Close()
	if _, err := world.Dial(ctx, addr); !errors.Is(err, syscall.ECONNREFUSED) || err.Error() != "connect: connection refused" {
		t.Fatalf("dial where nobody listens: %v", err) // the caller names the address
	}
}

func TestWaiterRemembersOneWake(t *testing.T) {
	w, clock := OS().NewWaiter(), OS().Clock()
	w.Wake()
	w.Wake()
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if err := w.Wait(ended, 1); err != nil {
		t.Fatalf("a remembered wake comes before the ends: %v", err)
	}
	if err := w.Wait(ended, 0); !errors.Is(err, context.Canceled) {
		t.Fatalf("ended context: %v", err)
	}
	if err := w.Wait(nil, 1); !errors.Is(err, ErrTimeout) {
		t.Fatalf("bound in the past: %v", err)
	}
	for range 2 { // the second reuses the timer
		if err := w.Wait(t.Context(), clock.Now()+time.Millisecond); !errors.Is(err, ErrTimeout) {
			t.Fatalf("bound: %v", err)
		}
	}
	OS().Run("waker", w.Wake)
	if err := w.Wait(t.Context(), clock.Now()+patience); err != nil {
		t.Fatalf("wake: %v", err)
	}
}

func TestWaiterAllocatesNothing(t *testing.T) {
	w, clock := OS().NewWaiter(), OS().Clock()
	_ = w.Wait(nil, clock.Now()+time.Microsecond) // makes the timer
	if n := testing.AllocsPerRun(100, func() {
		w.Wake()
		_ = w.Wait(nil, 0)
		_ = w.Wait(nil, clock.Now()+time.Microsecond)
	}); n > 0 {
		t.Fatalf("%v allocations per wait", n)
	}
}

func TestWaitersUnderTraffic(t *testing.T) {
	const rounds = 1000
	ping, pong := OS().NewWaiter(), OS().NewWaiter()
	var wg sync.WaitGroup
	wg.Add(1)
	OS().Run("pong", func() {
		defer wg.Done()
		for range rounds {
			if ping.Wait(nil, OS().Clock().Now()+patience) != nil {
				return
			}
			pong.Wake()
		}
	})
	for i := range rounds {
		ping.Wake()
		if err := pong.Wait(t.Context(), 0); err != nil {
			t.Fatalf("round %d: %v", i, err)
		}
	}
	wg.Wait()
}

func TestAfterFuncStopsAndResets(t *testing.T) {
	w, clock := OS().NewWaiter(), OS().Clock()
	timer := clock.AfterFunc(time.Hour, w.Wake)
	if !timer.Stop() || timer.Stop() {
		t.Fatal("the first Stop prevents the call, the second has nothing to prevent")
	}
	timer.Reset(time.Microsecond)
	if err := w.Wait(nil, clock.Now()+patience); err != nil {
		t.Fatal(err)
	}
}

func TestFactsAndRand(t *testing.T) {
	a, b := OS().Facts(), OS().Facts()
	if a != b || a.PID == 0 {
		t.Fatalf("%+v, then %+v", a, b)
	}
	r := OS().Rand()
	if first := r.Uint64(); first == r.Uint64() {
		t.Fatal("two equal numbers of 64 bits")
	}
	for n := range 3 * BlockSize {
		if p := Aligned(n); len(p) != n || n%BlockSize == 0 && !IsAligned(p, 0) {
			t.Fatalf("Aligned(%d) is not", n)
		}
	}
}
