package lockstep_test

import (
	"context"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/lockstep-rsm/lockstep"
	"github.com/lockstep-rsm/lockstep/machine"
	"github.com/lockstep-rsm/lockstep/machine/counter"
)

// TestManyStartsAndFewWritesKeepTheLogShort starts one host again and again: a start begins a segment,
// and the nearly empty ones of former starts must not pile up.
func TestManyStartsAndFewWritesKeepTheLogShort(t *testing.T) {
	ctx, cancel := context.WithTimeout(context.Background(), 60*time.Second)
	defer cancel()
	opts := lockstep.Options{
		Dir: t.TempDir(), Machines: map[string]machine.Kind{"counter": counter.Machine.Kind()},
		WALSegmentBytes: 1 << 20, MaxWALBytes: 256 << 20, Check: true,
	}
	for start := range int64(20) {
		h, err := lockstep.Open(ctx, opts)
		if err != nil {
			t.Fatal(err)
		}
		g, err := h.Create(ctx, 1, lockstep.GroupOptions{Machine: "counter"})
		if err != nil {
			t.Fatal(err)
		}
		for i := range int64(3) {
			n, err := lockstep.Typed(g, counter.Machine).Propose(ctx, counter.Add{N: 1})
			if want := 3*start + i + 1; err != nil || n != want {
				t.Fatalf("start %d: counter is %d, %v; want %d", start, n, err, want)
			}
		}
		if err := h.Close(); err != nil {
			t.Fatal(err)
		}
	}
	files, err := filepath.Glob(filepath.Join(opts.Dir, "wal", "*.wal"))
	if err != nil {
		t.Fatal(err)
	}
	var bytes int64
	for _, f := range files {
		if info, err := os.Stat(f); err == nil {
			bytes += info.Size()
		}
	}
	if bytes > 12<<20 {
		t.Errorf("log holds %d bytes in %d files after 20 starts with 3 writes each, want at most 12 segments of 1 MiB", bytes, len(files))
	}
}
