package lockstep_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/lockstep-rsm/lockstep"
	"github.com/lockstep-rsm/lockstep/env"
	"github.com/lockstep-rsm/lockstep/machine"
)

// ledgerOf is the kinds of a host whose ledgers bend like this.
func ledgerOf(bend func(l *ledger, cmd string) int64) map[string]machine.Kind {
	return map[string]machine.Kind{
		"ledger": {New: func(*machine.Place) (machine.StateMachine, error) { return &ledger{bend: bend}, nil }},
	}
}

// wrote runs a cluster of one in dir, and proposes these to group 1; "snapshot" makes one.
func wrote(t *testing.T, dir string, kinds map[string]machine.Kind, commands ...string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	h, err := lockstep.Open(ctx, lockstep.Options{Dir: dir, Machines: kinds, WALSegmentBytes: 64 << 10, MaxWALBytes: 1 << 20})
	if err != nil {
		t.Fatal(err)
	}
	defer h.Close()
	g, err := h.Create(ctx, 1, lockstep.GroupOptions{Machine: "ledger"})
	if err != nil {
		t.Fatal(err)
	}
	for _, cmd := range commands {
		if cmd == "snapshot" {
			_, err = g.Snapshot(ctx)
		} else {
			_, err = g.Propose(ctx, []byte(cmd))
		}
		if err != nil {
			t.Fatal(cmd, err)
		}
	}
}

func copyOf(t *testing.T, dir string) string {
	t.Helper()
	to := filepath.Join(t.TempDir(), "copy")
	if err := os.CopyFS(to, os.DirFS(dir)); err != nil {
		t.Fatal(err)
	}
	return to
}

// contents are the bytes and names of a directory.
func contents(t *testing.T, dir string) (all []string) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, e os.DirEntry, err error) error {
		if err == nil && !e.IsDir() {
			b, rerr := os.ReadFile(path)
			all, err = append(all, path+string(b)), rerr
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// The first command after which two replicas differ is found in what they left behind, whatever snapshots they
// have, and nothing is written.
func TestBisectFindsTheFirstDifferingCommand(t *testing.T) {
	plain := ledgerOf(nil)
	for _, c := range []struct {
		name     string
		commands []string
		bend     func(l *ledger, cmd string) int64
		want     func(d *lockstep.Difference) bool
	}{
		{"none", []string{"1", "2", "3"}, nil, func(d *lockstep.Difference) bool { return !d.Found && d.Through > 4 }},
		{
			"a state",
			[]string{"1", "2", "7", "3"},
			func(_ *ledger, cmd string) int64 { return int64(len(cmd)-1) + map[string]int64{"7": 5}[cmd] },
			func(d *lockstep.Difference) bool {
				return d.Found && !d.Log && !d.Before && string(d.Command[0]) == "7" && d.Digest == [2]machine.Digest{10, 15} &&
					string(d.Result[0]) == "\x0010" && string(d.Result[1]) == "\x0015"
			},
		},
		{
			"behind snapshots",
			[]string{"1", "snapshot", "2", "snapshot", "3", "snapshot", "7", "4"},
			func(_ *ledger, cmd string) int64 { return map[string]int64{"7": 5}[cmd] },
			func(d *lockstep.Difference) bool { return d.Found && string(d.Command[0]) == "7" && d.From > 0 },
		},
		{
			"a panic",
			[]string{"1", "7", "2"},
			func(_ *ledger, cmd string) int64 {
				if cmd == "7" {
					panic("planted")
				}
				return 0
			},
			func(d *lockstep.Difference) bool {
				return d.Found && string(d.Command[1]) == "7" && d.Failed[0] == nil && d.Failed[1] != nil && d.Result[0] != nil && d.Result[1] == nil
			},
		},
		{
			"none behind snapshots",
			[]string{"1", "snapshot", "2", "snapshot", "3", "snapshot"},
			func(*ledger, string) int64 { return 0 },
			func(d *lockstep.Difference) bool { return !d.Found },
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "one")
			wrote(t, dir, plain, c.commands...)
			other := copyOf(t, dir)
			before := slices.Concat(contents(t, dir), contents(t, other))
			d, err := lockstep.Bisect(1, lockstep.Left{Dir: dir, Machines: plain}, lockstep.Left{Dir: other, Machines: ledgerOf(c.bend), Env: env.OS()})
			if err != nil {
				t.Fatal(err)
			}
			if !c.want(d) {
				t.Errorf("found %+v", d)
			}
			if !slices.Equal(before, slices.Concat(contents(t, dir), contents(t, other))) {
				t.Error("the directories were changed")
			}
		})
	}
}

// What a host that runs writes meanwhile would be missed: its directory is refused, and nothing in it is touched.
func TestBisectRefusesTheDirectoryOfALiveHost(t *testing.T) {
	plain := ledgerOf(nil)
	dir := filepath.Join(t.TempDir(), "one")
	wrote(t, dir, plain, "1", "2")
	other := copyOf(t, dir)
	h, err := lockstep.Open(t.Context(), lockstep.Options{Dir: dir, Machines: plain, WALSegmentBytes: 64 << 10, MaxWALBytes: 1 << 20})
	if err != nil {
		t.Fatal(err)
	}
	left, right := lockstep.Left{Dir: dir, Machines: plain}, lockstep.Left{Dir: other, Machines: plain}
	for _, sides := range [][2]lockstep.Left{{left, right}, {right, left}} {
		_, err := lockstep.Bisect(1, sides[0], sides[1])
		var locked *env.LockedError
		if !errors.Is(err, lockstep.ErrDir) || !errors.As(err, &locked) || locked.Owner != fmt.Sprintf("pid %d", os.Getpid()) {
			t.Errorf("a host that runs: %v", err)
		}
	}
	if err := h.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := lockstep.Bisect(1, left, right); err != nil {
		t.Errorf("once it is closed: %v", err)
	}
}

// Logs that went apart are told from states that did.
func TestBisectFindsWhereLogsDiffer(t *testing.T) {
	plain := ledgerOf(nil)
	dir := filepath.Join(t.TempDir(), "one")
	wrote(t, dir, plain, "1", "2", "3")
	other := copyOf(t, dir)
	wrote(t, dir, plain, "4", "5")
	wrote(t, other, plain, "6", "7")
	d, err := lockstep.Bisect(1, lockstep.Left{Dir: dir, Machines: plain}, lockstep.Left{Dir: other, Machines: plain})
	if err != nil || !d.Found || !d.Log || d.Index < 4 || d.Digest[0] == d.Digest[1] {
		t.Errorf("found %+v, %v", d, err)
	}
	for what, l := range map[string]lockstep.Left{"no host": {Dir: t.TempDir()}, "no such machine": {Dir: copyOf(t, dir)}} {
		if _, err := lockstep.Bisect(1, lockstep.Left{Dir: dir, Machines: plain}, l); err == nil {
			t.Errorf("%s: no error", what)
		}
	}
	if _, err := lockstep.Bisect(2, lockstep.Left{Dir: dir, Machines: plain}, lockstep.Left{Dir: other, Machines: plain}); !errors.Is(err, lockstep.ErrNoReplica) {
		t.Errorf("a group that is not there: %v", err)
	}
}
