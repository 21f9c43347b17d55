package world

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"syscall"
	"testing"
	"time"

	"github.com/lockstep-rsm/lockstep/env"
)

// onDisk plays f with the files of host 0.
func onDisk(t *testing.T, seed uint64, f func(w *World, d *Disk, files env.FS)) *World {
	t.Helper()
	return play(t, seed, Options{}, func(w *World) {
		if !w.Do(0, func() { f(w, w.Disk(0), w.Host(0).FS()) }) {
			t.Error("the process of host 0 died")
		}
	})
}

func create(t *testing.T, files env.FS, name string, mode env.Mode) env.File {
	t.Helper()
	f, err := files.Open(name, env.Read|env.Write|env.Create|mode)
	check(t, err)
	return f
}

func write(t *testing.T, f env.File, p []byte, off int64) {
	t.Helper()
	n, err := f.WriteAt(p, off)
	check(t, err)
	if n != len(p) {
		t.Fatalf("wrote %d of %d", n, len(p))
	}
}

// content reads a whole file on host 0 from whatever task calls.
func content(t *testing.T, w *World, name string) []byte {
	t.Helper()
	var b []byte
	w.Do(0, func() {
		f, err := w.Host(0).FS().Open(name, env.Read)
		check(t, err)
		n, err := f.Size()
		check(t, err)
		b = make([]byte, n)
		if _, err = f.ReadAt(b, 0); err != nil && err != io.EOF {
			t.Fatal(err)
		}
		check(t, f.Close())
	})
	return b
}

func full(c byte, n int) []byte { return bytes.Repeat([]byte{c}, n) }

func TestFilesAndNames(t *testing.T) {
	onDisk(t, 1, func(w *World, d *Disk, files env.FS) {
		check(t, files.MkdirAll("a/b"))
		check(t, files.MkdirAll("/a/b/"))
		f := create(t, files, "a/b/2", 0)
		create(t, files, "a/b/1", 0)
		if _, err := files.Open("a/b/1", env.Write|env.Create); !errors.Is(err, fs.ErrExist) {
			t.Error(err)
		}
		if _, err := files.Open("a/c/1", env.Write|env.Create); !errors.Is(err, fs.ErrNotExist) {
			t.Error(err)
		}
		if _, err := files.Open("a/b/9", env.Read); !errors.Is(err, fs.ErrNotExist) {
			t.Error(err)
		}
		write(t, f, []byte("hello"), 3)
		got := make([]byte, 10)
		if n, err := f.ReadAt(got, 1); n != 7 || err != io.EOF || string(got[:7]) != "\x00\x00hello" {
			t.Errorf("%d %v %q", n, err, got)
		}
		if d.Used() != 4096 {
			t.Errorf("%d in use", d.Used())
		}
		infos, err := files.ReadDir("a/b")
		if err != nil || len(infos) != 2 || infos[0].Name != "1" || infos[1].Size != 8 {
			t.Errorf("%v %v", infos, err)
		}
		check(t, files.Rename("a/b/2", "a/b/1"))
		if _, err := files.Stat("a/b/2"); !errors.Is(err, fs.ErrNotExist) {
			t.Error(err)
		}
		check(t, f.Truncate(4))
		if i, err := files.Stat("a/b/1"); err != nil || i.Size != 4 || i.Name != "1" {
			t.Error(i, err)
		}
		check(t, f.Close())
		if err := f.Sync(); !errors.Is(err, fs.ErrClosed) {
			t.Error(err)
		}
		if err := files.Remove("a/b"); !errors.Is(err, syscall.ENOTEMPTY) {
			t.Error(err)
		}
		check(t, files.RemoveAll("a"))
		check(t, files.RemoveAll("a"))
		if err := files.Remove("a"); !errors.Is(err, fs.ErrNotExist) {
			t.Error(err)
		}
		if d.Used() != 0 {
			t.Errorf("%d in use", d.Used())
		}
	})
}

func TestLockDiesWithItsProcess(t *testing.T) {
	play(t, 1, Options{}, func(w *World) {
		w.Do(0, func() {
			files := w.Host(0).FS()
			c, err := files.Lock("LOCK")
			check(t, err)
			var locked *env.LockedError
			if _, err := files.Lock("LOCK"); !errors.As(err, &locked) || locked.Owner != fmt.Sprintf("pid %d", w.Host(0).Facts().PID) {
				t.Error(err)
			}
			if err := files.Locked("LOCK"); !errors.As(err, &locked) {
				t.Error(err)
			}
			check(t, c.Close())
			check(t, files.Locked("LOCK"))
			check(t, files.Locked("absent"))
			_, err = files.Lock("LOCK")
			check(t, err)
		})
		w.Kill(0)
		w.Start(0)
		w.Do(0, func() {
			_, err := w.Host(0).FS().Lock("LOCK")
			check(t, err)
		})
	})
}

func TestKillKeepsTheCacheAndCutsTheWrite(t *testing.T) {
	cuts := map[int]bool{}
	for seed := range uint64(60) {
		for _, direct := range []bool{false, true} {
			play(t, seed, Options{}, func(w *World) {
				w.Go(0, "writer", func() {
					mode := env.Mode(0)
					if direct {
						mode = env.Direct
					}
					f := create(t, w.Host(0).FS(), "f", mode)
					write(t, f, full('a', 5*pageSize), 0)
					w.Disk(0).Stuck = true
					b := env.Aligned(4 * pageSize)
					copy(b, full('b', len(b)))
					if direct {
						_ = f.WriteSync(b, 0)
					} else {
						_, _ = f.WriteAt(b, 0)
					}
					t.Error("the write returned")
				})
				w.Sleep(time.Second)
				w.Kill(0)
				w.Disk(0).Stuck = false
				w.Start(0)
				got := content(t, w, "f")
				n := bytes.IndexByte(got, 'a')
				if len(got) != 5*pageSize || n%pageSize != 0 || bytes.Count(got[:n], []byte{'b'}) != n || bytes.IndexByte(got[n:], 'b') >= 0 {
					t.Errorf("seed %d: not a prefix of blocks", seed)
				}
				cuts[n/pageSize] = true
			})
		}
	}
	if len(cuts) != 5 {
		t.Errorf("cuts seen: %v", cuts)
	}
}

func TestPowerLossDecidesSectorBySector(t *testing.T) {
	var kept, lost, garbled, alike int
	for seed := range uint64(80) {
		play(t, seed, Options{}, func(w *World) {
			w.Do(0, func() {
				f := create(t, w.Host(0).FS(), "f", 0)
				write(t, f, full('a', 64*sectorSize), 0)
				check(t, f.Sync())
				check(t, w.Host(0).FS().SyncDir(""))
				write(t, f, full('b', 32*sectorSize), 16*sectorSize)
			})
			if m := w.Disk(0).Medium("f"); !bytes.Equal(m, full('a', 64*sectorSize)) {
				t.Error("the medium has what was not synced")
			}
			if got := content(t, w, "f"); got[16*sectorSize] != 'b' {
				t.Error("the cache has not what was written")
			}
			w.PowerOff(0)
			w.Start(0)
			got := content(t, w, "f")
			if len(got) != 64*sectorSize {
				t.Fatalf("seed %d: %d bytes", seed, len(got))
			}
			before := lost
			for s := range 64 {
				p := got[s*sectorSize : (s+1)*sectorSize]
				switch old := bytes.Equal(p, full('a', sectorSize)); {
				case s < 16 || s >= 48:
					if !old {
						t.Errorf("seed %d: a synced sector changed", seed)
					}
				case old:
					lost++
				case bytes.Equal(p, full('b', sectorSize)):
					kept++
				default:
					garbled++
				}
			}
			if d := lost - before; d == 0 || d == 32 {
				alike++
			}
			if !bytes.Equal(w.Disk(0).Medium("f"), got) {
				t.Error("after a power loss cache and medium differ")
			}
		})
	}
	if kept < 500 || lost < 500 || garbled < 50 || alike < 5 || alike > 60 {
		t.Errorf("kept %d, lost %d, garbled %d; all alike %d times", kept, lost, garbled, alike)
	}
}

func TestPowerLossTakesNamesOneByOne(t *testing.T) {
	seen := map[string]int{}
	for seed := range uint64(200) {
		play(t, seed, Options{}, func(w *World) {
			w.Do(0, func() {
				files := w.Host(0).FS()
				check(t, files.MkdirAll("d"))
				for _, n := range []string{"d/old", "d/gone"} {
					check(t, create(t, files, n, 0).Sync())
				}
				check(t, files.SyncDir("d"))
				for _, n := range []string{"d/new", "d/tmp"} {
					f := create(t, files, n, 0)
					write(t, f, []byte("x"), 0)
					check(t, f.Sync())
				}
				check(t, files.Rename("d/tmp", "d/old"))
				check(t, files.Remove("d/gone"))
			})
			w.PowerOff(0)
			w.Start(0)
			w.Do(0, func() {
				infos, err := w.Host(0).FS().ReadDir("d")
				check(t, err)
				text := ""
				for _, i := range infos {
					text += fmt.Sprintf("%s:%d ", i.Name, i.Size)
				}
				seen[text]++
			})
		})
	}
	all, none := "new:1 old:1 ", "gone:0 old:0 "
	if len(seen) < 10 || seen[all] == 0 || seen[none] == 0 {
		t.Errorf("%d outcomes: %v", len(seen), seen)
	}
	for text := range seen {
		if !bytes.Contains([]byte(text), []byte("old:")) {
			t.Errorf("the target of a rename vanished: %s", text)
		}
	}
}

func TestSyncedNamesStay(t *testing.T) {
	for seed := range uint64(50) {
		play(t, seed, Options{}, func(w *World) {
			w.Do(0, func() {
				files := w.Host(0).FS()
				check(t, files.MkdirAll("a"))
				check(t, files.MkdirAll("b"))
				check(t, create(t, files, "a/x", 0).Sync())
				check(t, files.Rename("a/x", "b/y"))
				check(t, files.SyncDir("b"))
			})
			w.PowerOff(0)
			w.Start(0)
			if w.Disk(0).find("b/y") == nil || w.Disk(0).find("a/x") != nil {
				t.Errorf("seed %d: a synced rename was lost or doubled", seed)
			}
		})
	}
}

func TestSyncedRenameLeavesNothingBehind(t *testing.T) {
	play(t, 1, Options{}, func(w *World) {
		w.Do(0, func() {
			files := w.Host(0).FS()
			check(t, create(t, files, "x", 0).Sync())
			check(t, files.SyncDir(""))
			check(t, files.Rename("x", "y"))
			check(t, files.SyncDir(""))
		})
		w.PowerOff(0)
		w.Start(0)
		if w.Disk(0).find("y") == nil || w.Disk(0).find("x") != nil {
			t.Error("a renamed file has two names, or none")
		}
	})
}

func TestLostGrowthDoesNotComeBack(t *testing.T) {
	shrunk := 0
	for seed := range uint64(60) {
		play(t, seed, Options{}, func(w *World) {
			w.Do(0, func() {
				f := create(t, w.Host(0).FS(), "f", 0)
				check(t, f.Sync())
				check(t, w.Host(0).FS().SyncDir(""))
				write(t, f, full('a', 3*pageSize), 0)
			})
			w.PowerOff(0)
			w.Start(0)
			n := len(content(t, w, "f"))
			if n == 3*pageSize {
				return
			}
			shrunk++
			w.Do(0, func() {
				f, err := w.Host(0).FS().Open("f", env.Write)
				check(t, err)
				check(t, f.Truncate(3*pageSize))
			})
			if got := content(t, w, "f"); bytes.Count(got[n:], []byte{0}) != len(got)-n {
				t.Errorf("seed %d: what lay behind the lost end shows again", seed)
			}
		})
	}
	if shrunk < 20 {
		t.Errorf("the size was lost %d times only", shrunk)
	}
}

// TestDiskAgainstNaiveTwin draws writes, syncs, truncations, kills and power losses, and compares
// with a model that knows for each sector the set of contents it may have.
func TestDiskAgainstNaiveTwin(t *testing.T) {
	for seed := range uint64(150) {
		r := rand.New(rand.NewPCG(seed, 1))
		play(t, seed, Options{}, func(w *World) {
			const size = 24 * sectorSize
			cache, synced := make([]byte, size), make([]byte, size)
			dirty := make([]bool, 24)
			w.Do(0, func() {
				f := create(t, w.Host(0).FS(), "f", 0)
				check(t, f.Allocate(size))
				check(t, f.Sync())
				check(t, w.Host(0).FS().SyncDir(""))
				check(t, f.Close())
			})
			for range 30 {
				w.Do(0, func() {
					f, err := w.Host(0).FS().Open("f", env.Read|env.Write)
					check(t, err)
					for range r.IntN(6) {
						switch r.IntN(4) {
						case 0, 1:
							off := r.IntN(size)
							p := make([]byte, r.IntN(min(size-off, 3000))+1)
							fill(r, p)
							write(t, f, p, int64(off))
							copy(cache[off:], p)
							for s := off / sectorSize; s <= (off+len(p)-1)/sectorSize; s++ {
								dirty[s] = true
							}
						case 2:
							check(t, f.Sync())
							copy(synced, cache)
							clear(dirty)
						case 3:
							check(t, f.DropCache())
						}
					}
				})
				if got := content(t, w, "f"); !bytes.Equal(got, cache) {
					t.Fatalf("seed %d: the cache shows something else", seed)
				}
				if !bytes.Equal(w.Disk(0).Medium("f"), synced) {
					t.Fatalf("seed %d: the medium holds something else", seed)
				}
				switch r.IntN(4) {
				case 0:
					w.Kill(0)
				case 1:
					w.PowerOff(0)
				default:
					continue
				}
				power := !w.host(0).up
				w.Start(0)
				got := content(t, w, "f")
				for s := range dirty {
					if !bytes.Equal(got[s*sectorSize:(s+1)*sectorSize], cache[s*sectorSize:(s+1)*sectorSize]) && !(power && dirty[s]) {
						t.Fatalf("seed %d: sector %d changed in a crash", seed, s)
					}
				}
				if power {
					copy(cache, got)
					copy(synced, got)
					clear(dirty)
				}
			}
		})
	}
}

func TestWriteDuringSyncIsNotPromised(t *testing.T) {
	onDisk(t, 1, func(w *World, d *Disk, files env.FS) {
		f := create(t, files, "f", 0)
		write(t, f, full('a', 4*sectorSize), 0)
		d.Slow = 1000
		w.Host(0).Run("beside", func() {
			d.Slow = 0
			write(t, f, full('b', sectorSize), sectorSize)
		})
		check(t, f.Sync())
		check(t, files.SyncDir(""))
		if m := d.Medium("f"); !bytes.Equal(m, full('a', 4*sectorSize)) {
			t.Error("the sync promised a later write, or lost an earlier one")
		}
		check(t, f.Sync())
		if m := d.Medium("f"); m[sectorSize] != 'b' {
			t.Error("the second sync did not write")
		}
	})
}

func TestFailedSyncLooksCleanAndIsLost(t *testing.T) {
	onDisk(t, 1, func(w *World, d *Disk, files env.FS) {
		f := create(t, files, "f", 0)
		check(t, files.SyncDir(""))
		write(t, f, full('a', pageSize), 0)
		check(t, f.Sync())
		write(t, f, full('b', pageSize), 0)
		d.FailNth(OpSync, 1, syscall.EIO)
		if err := f.Sync(); !errors.Is(err, syscall.EIO) {
			t.Error(err)
		}
		check(t, f.Sync()) // finds nothing to do: that is the trap
		if got := content(t, w, "f"); got[0] != 'b' {
			t.Error("the cache lost it")
		}
		if m := d.Medium("f"); m[0] != 'a' {
			t.Error("it reached the medium")
		}
		check(t, f.DropCache())
		if got := content(t, w, "f"); got[0] != 'a' {
			t.Error("DropCache did not show the medium")
		}
	})
}

func TestConcurrentSyncsFailTogether(t *testing.T) {
	onDisk(t, 1, func(w *World, d *Disk, files env.FS) {
		f := create(t, files, "f", 0)
		write(t, f, full('a', pageSize), 0)
		d.FailNth(OpSync, 1, syscall.EIO)
		failed := 0
		for range 2 {
			w.Host(0).Run("sync", func() {
				if f.Sync() != nil {
					failed++
				}
			})
		}
		w.Sleep(time.Second)
		if failed != 2 {
			t.Errorf("%d of 2 overlapping syncs failed", failed)
		}
	})
}

func TestNthOperationFails(t *testing.T) {
	onDisk(t, 1, func(_ *World, d *Disk, files env.FS) {
		f := create(t, files, "f", 0)
		for op, do := range map[Op]func() error{
			OpWrite: func() error { _, err := f.WriteAt([]byte("x"), 0); return err },
			OpCreate: func() error {
				_, err := files.Open(fmt.Sprint("n", d.Count(OpCreate)), env.Write|env.Create)
				return err
			},
			OpRename: func() error {
				g := fmt.Sprint("r", d.Count(OpRename))
				create(t, files, g, 0)
				return files.Rename(g, g+"x")
			},
			OpSyncDir: func() error { return files.SyncDir("") },
			OpRead:    func() error { _, err := f.ReadAt(nil, 0); return err },
		} {
			check(t, do())
			d.FailNth(op, 2, syscall.EIO)
			check(t, do())
			if err := do(); !errors.Is(err, syscall.EIO) {
				t.Errorf("%v: %v", op, err)
			}
			check(t, do())
		}
		hooked := ""
		d.Hook = func(op Op, name string) error { hooked = op.String() + " " + name; return nil }
		check(t, f.Sync())
		if hooked != "sync f" {
			t.Error(hooked)
		}
	})
}

func TestFullDiskRefusesGrowthOnly(t *testing.T) {
	onDisk(t, 1, func(_ *World, d *Disk, files env.FS) {
		f := create(t, files, "f", 0)
		check(t, f.Allocate(10*pageSize))
		d.Capacity = 12 * pageSize
		if free, err := files.Free(""); err != nil || free != 2*pageSize {
			t.Error(free, err)
		}
		if err := f.Allocate(13 * pageSize); !errors.Is(err, syscall.ENOSPC) {
			t.Error(err)
		}
		write(t, f, full('x', 10*pageSize), 0)
		check(t, f.Sync())
		if n, err := f.WriteAt(full('y', 5*pageSize), 9*pageSize); n != 3*pageSize || !errors.Is(err, syscall.ENOSPC) {
			t.Error(n, err)
		}
		if _, err := files.Open("g", env.Write|env.Create); !errors.Is(err, syscall.ENOSPC) {
			t.Error(err)
		}
		d.Capacity, d.HoldBack = 20*pageSize, 8*pageSize
		if err := f.Allocate(13 * pageSize); !errors.Is(err, syscall.ENOSPC) {
			t.Error(err)
		}
		d.HoldBack = 0
		check(t, f.Allocate(13*pageSize))
		check(t, files.Remove("f"))
		if d.Used() != 0 {
			t.Error(d.Used())
		}
	})
}

func TestRotHidesBehindTheCache(t *testing.T) {
	onDisk(t, 1, func(w *World, d *Disk, files env.FS) {
		f := create(t, files, "f", 0)
		write(t, f, full('a', 4*pageSize), 0)
		check(t, f.Sync())
		if !d.Rot("f", pageSize, 1) || d.Rot("g", 0, 1) {
			t.Error("Rot says nonsense")
		}
		if got := content(t, w, "f"); !bytes.Equal(got, full('a', len(got))) {
			t.Error("the cache shows the rot")
		}
		check(t, f.DropCache())
		flipped := 0
		for i, c := range content(t, w, "f") {
			if c != 'a' {
				flipped++
				if i < pageSize || i >= pageSize+sectorSize {
					t.Errorf("byte %d rotted", i)
				}
			}
		}
		if flipped != 1 {
			t.Errorf("%d bytes rotted", flipped)
		}
		d.Spoil("f", 2*pageSize, sectorSize)
		if _, err := f.ReadAt(make([]byte, 10), 2*pageSize+5); !errors.Is(err, syscall.EIO) {
			t.Error(err)
		}
		write(t, f, full('b', sectorSize), 2*pageSize)
		check(t, f.Sync())
		if _, err := f.ReadAt(make([]byte, 10), 2*pageSize+5); err != nil {
			t.Error(err)
		}
	})
}

func TestStuckAndSlowDisks(t *testing.T) {
	onDisk(t, 1, func(w *World, d *Disk, files env.FS) {
		f := create(t, files, "f", 0)
		d.Slow = 100
		at := w.Now()
		check(t, f.Sync())
		if took := w.Now() - at; took < 20*time.Millisecond {
			t.Error(took)
		}
		d.Slow, d.Stuck = 0, true
		w.Go(Driver, "heal", func() { w.Sleep(time.Minute); d.Stuck = false })
		at = w.Now()
		check(t, f.Sync())
		if took := w.Now() - at; took < time.Minute || took > time.Minute+stuckDelay {
			t.Error(took)
		}
		if d.Syncs() != 2 {
			t.Error(d.Syncs())
		}
	})
}

const stuckDelay = 10 * time.Millisecond

func TestZeroesCostNoMemory(t *testing.T) {
	onDisk(t, 1, func(_ *World, d *Disk, files env.FS) {
		f := create(t, files, "big", env.Direct)
		check(t, f.Allocate(16<<30))
		check(t, f.Sync())
		check(t, f.WriteSync(env.Aligned(pageSize), 8<<30))
		chunks := 0
		for _, c := range d.find("big").chunks {
			if c != nil {
				chunks++
			}
		}
		if chunks != 1 {
			t.Errorf("%d MiB for one block", chunks)
		}
		check(t, f.Truncate(4<<30))
	})
}

func TestUnsyncedSizeMayComeOrGo(t *testing.T) {
	sizes := map[int]bool{}
	for seed := range uint64(60) {
		play(t, seed, Options{}, func(w *World) {
			w.Do(0, func() {
				f := create(t, w.Host(0).FS(), "f", 0)
				check(t, w.Host(0).FS().SyncDir(""))
				write(t, f, full('a', pageSize), 0)
				check(t, f.Sync())
				write(t, f, full('b', pageSize), pageSize)
			})
			w.PowerOff(0)
			w.Start(0)
			got := content(t, w, "f")
			if len(got) < pageSize || !bytes.Equal(got[:pageSize], full('a', pageSize)) {
				t.Errorf("seed %d: synced content is gone", seed)
			}
			sizes[len(got)] = true
		})
	}
	if !sizes[pageSize] || !sizes[2*pageSize] || len(sizes) < 3 {
		t.Errorf("sizes %v", sizes)
	}
}

func TestMisalignedDirectWritePanics(t *testing.T) {
	w := New(1, Options{})
	w.Go(0, "x", func() {
		f := create(t, w.Host(0).FS(), "f", env.Direct)
		_ = f.WriteSync(env.Aligned(pageSize)[:512], 0)
	})
	if text := panicOf(w); text == "<nil>" || text == "" {
		t.Fatal("a misaligned direct write was taken")
	}
}

func BenchmarkWriteSync(b *testing.B) {
	w := New(1, Options{})
	defer w.Close()
	w.Go(0, "writer", func() {
		f, _ := w.Host(0).FS().Open("f", env.Write|env.Create|env.Direct)
		p := env.Aligned(pageSize)
		b.ResetTimer()
		for i := range b.N {
			_ = f.WriteSync(p, int64(i%10_000)*pageSize)
		}
		w.Stop()
	})
	b.ReportAllocs()
	w.Run(1 << 62)
}
