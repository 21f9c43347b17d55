package host

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/lockstep-rsm/lockstep/internal/wire"
	"github.com/lockstep-rsm/lockstep/sim/world"
)

// TestIdentityThatWasActedOnSurvivesPowerLoss kills a process at any moment of a save. What its
// successor reads it may tell others, so a power loss must not take it back.
func TestIdentityThatWasActedOnSurvivesPowerLoss(t *testing.T) {
	for seed := range uint64(200) {
		w := world.New(seed, world.Options{Hosts: 1})
		var told, found wire.HostIdentity
		w.Go(world.Driver, "test", func() {
			load := func() (is wire.HostIdentity) {
				w.Do(0, func() {
					f := identityFile{}
					if err := w.Host(0).FS().MkdirAll("data"); err != nil {
						t.Error(err)
					}
					if err := f.load(w.Host(0), "data"); err != nil {
						t.Errorf("seed %d: %v", seed, err)
					}
					is = f.is
				})
				return is
			}
			load()
			w.Go(0, "bind", func() {
				f := identityFile{}
				if err := f.load(w.Host(0), "data"); err != nil {
					t.Error(err)
				}
				is := f.is
				is.State, is.Nonce = stateBound, 77
				_ = f.save(is)
			})
			w.Sleep(time.Duration(w.Rand().IntN(6000)) * time.Microsecond)
			w.Kill(0)
			w.Start(0)
			told = load()
			w.PowerOff(0)
			w.Start(0)
			found = load()
			w.Stop()
		})
		w.Run(time.Minute)
		w.Close()
		if told.State != found.State || told.Nonce != found.Nonce || told.Incarnation != found.Incarnation {
			t.Fatalf("seed %d: a process read %+v, and the next, after a power loss, %+v", seed, told, found)
		}
	}
}

// TestRootOfAFileSystemCountsAsEmpty: a data directory may be where a disk is mounted, which has a folder of its own.
func TestRootOfAFileSystemCountsAsEmpty(t *testing.T) {
	for name, refused := range map[string]bool{"lost+found": false, "precious": true, "wal": true} {
		w := world.New(1, world.Options{Hosts: 1})
		var err error
		w.Go(world.Driver, "test", func() {
			w.Do(0, func() {
				if err := w.Host(0).FS().MkdirAll("data/" + name); err != nil {
					t.Error(err)
				}
				err = new(identityFile).load(w.Host(0), "data")
			})
			w.Stop()
		})
		w.Run(time.Minute)
		w.Close()
		if errors.Is(err, ErrDir) != refused || refused && !strings.Contains(err.Error(), "holds "+name+" but no HOST file") {
			t.Errorf("a directory that holds %s: %v", name, err)
		}
	}
}
