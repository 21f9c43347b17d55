package env

import (
	"context"
	"errors"
	"io"
	"net"
	"testing"
)

// TestTryWriteNeverWaits: a connection whose other side reads nothing takes what the kernel has room for,
// a part of the last write, and then nothing. What it took arrives once, in order, before what Write adds.
func TestTryWriteNeverWaits(t *testing.T) {
	l, err := OS().Net().Listen("127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	c, err := OS().Net().Dial(ctx, l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	other, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	p := make([]byte, 60_000)
	sent := 0
	for {
		for i := range p {
			p[i] = byte((sent + i) % 251)
		}
		n, err := c.TryWrite(p)
		if err != nil {
			t.Fatal(err)
		}
		if sent += n; n == 0 {
			break // that this is reached at all is the point
		}
		if sent > 1<<30 {
			t.Fatal("a gigabyte was taken, and read by nobody")
		}
	}
	written := make(chan error, 1)
	go func() {
		_, err := c.Write([]byte("end"))
		c.Close()
		written <- err
	}()
	got, err := io.ReadAll(other)
	if err != nil {
		t.Fatal(err)
	}
	if err := <-written; err != nil {
		t.Fatal(err)
	}
	if len(got) != sent+3 || string(got[sent:]) != "end" {
		t.Fatalf("%d bytes arrived of %d, and they end with %q", len(got), sent+3, got[max(len(got)-3, 0):])
	}
	for i, b := range got[:sent] {
		if b != byte(i%251) {
			t.Fatalf("byte %d is %d", i, b)
		}
	}
	if _, err := c.TryWrite(p); !errors.Is(err, net.ErrClosed) {
		t.Errorf("after Close: %v", err)
	}
}

// TestTryWriteAllocatesNothing: a turn makes two of them per write.
func TestTryWriteAllocatesNothing(t *testing.T) {
	l, err := OS().Net().Listen("127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	c, err := OS().Net().Dial(t.Context(), l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	p := []byte("frame")
	if n := testing.AllocsPerRun(1000, func() {
		if n, err := c.TryWrite(p); n != len(p) || err != nil {
			t.Fatal(n, err)
		}
	}); n > 0 {
		t.Errorf("%v allocations", n)
	}
}
