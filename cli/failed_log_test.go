package cli

import (
	"bytes"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/lockstep-rsm/lockstep/env"
	"github.com/lockstep-rsm/lockstep/internal/freeport"
)

// brokenDisk is the real world, but for synchronous writes, which fail once broken is set.
type brokenDisk struct {
	env.Env
	broken atomic.Bool
}

func (b *brokenDisk) FS() env.FS { return brokenFS{b.Env.FS(), b} }

type brokenFS struct {
	env.FS
	disk *brokenDisk
}

func (f brokenFS) Open(name string, mode env.Mode) (env.File, error) {
	file, err := f.FS.Open(name, mode)
	if err != nil {
		return nil, err
	}
	return brokenFile{file, f.disk}, nil
}

type brokenFile struct {
	env.File
	disk *brokenDisk
}

func (f brokenFile) WriteSync(p []byte, off int64) error {
	if f.disk.broken.Load() {
		return syscall.EIO
	}
	return f.File.WriteSync(p, off)
}

// sharedBuffer is written to by several tasks.
type sharedBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (b *sharedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *sharedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}

func TestServeEndsWhenItsLogFails(t *testing.T) {
	disk := &brokenDisk{Env: env.OS()}
	var said sharedBuffer
	getenv := func(string) string { return "" }
	server := Program{Version: "test", Out: &said, Err: &said, Getenv: getenv, env: disk}
	addrs, err := freeport.Addrs(1)
	if err != nil {
		t.Fatal(err)
	}
	dir, at := t.TempDir(), addrs[0]
	code := make(chan int, 1)
	go func() {
		code <- server.Run([]string{"serve", "--data", dir, "--client", at, "--host", "127.0.0.1:0", "--max-wal-bytes", "64MiB"})
	}()
	put := func() int {
		p := Program{Version: "test", Out: &sharedBuffer{}, Err: &sharedBuffer{}, Getenv: getenv}
		return p.Run([]string{"put", "a", "1", "--endpoints", at, "--timeout", "2s"})
	}
	deadline := time.NewTimer(30 * time.Second)
	defer deadline.Stop()
	for put() != 0 {
		select {
		case c := <-code:
			t.Fatalf("serve ended with code %d before its disk broke: %s", c, said.String())
		case <-deadline.C:
			t.Fatalf("no put was served: %s", said.String())
		default:
		}
	}
	disk.broken.Store(true)
	select {
	case c := <-code:
		if c != exitFailed {
			t.Errorf("serve ended with code %d, want %d", c, exitFailed)
		}
	case <-deadline.C:
		t.Fatalf("serve still runs, and its log has failed: %s", said.String())
	}
	want := "error: log failed: this host is stopped until restarted: "
	if text := said.String(); !strings.Contains(text, want) || !strings.Contains(text, "See the disk of "+dir+": lockstep doctor --data "+dir) {
		t.Errorf("serve said %s\nwant a line that begins with %q and says what to do", text, want)
	}
}
