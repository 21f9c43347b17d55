package world

import (
	"bytes"
	"errors"
	"io"
	"net"
	"testing"
	"time"

	"github.com/lockstep-rsm/lockstep/env"
)

// TestTryWriteTakesAPart: at times a connection takes nothing, at times a part, on a turn as elsewhere. What it
// took travels with the Write that follows, as one unit; and what was begun when it is closed still arrives.
func TestTryWriteTakesAPart(t *testing.T) {
	play(t, 1, Options{}, func(w *World) {
		var got [][]byte
		over := w.NewWaiter()
		serve(t, w, 0, func(c net.Conn) {
			got = readUnits(t, c)
			over.Wake()
		})
		e := w.Host(1)
		var wants [][]byte
		w.Go(1, "client", func() {
			conn, err := e.Net().Dial(w.Context(), w.Addr(0, 7000))
			check(t, err)
			whole, parts, none := 0, 0, 0
			for i := range 500 {
				want := bytes.Repeat([]byte{byte(i)}, 10)
				e.Enter()
				n, err := conn.TryWrite(want)
				e.Leave()
				check(t, err)
				wants = append(wants, want)
				switch n {
				case 10:
					whole++
					continue
				case 0:
					none++
				default:
					parts++
				}
				if i == 499 {
					t.Fatal("choose a seed whose last try takes all")
				}
				k, err := conn.Write(want[n:])
				if check(t, err); k != 10-n {
					t.Errorf("Write took %d of %d", k, 10-n)
				}
			}
			sent := w.Traffic()
			if whole < 400 || parts < 10 || none < 10 || uint64(parts) != sent.Halved || uint64(none) != sent.Untaken {
				t.Errorf("%d were taken whole, %d in part, %d not: %+v", whole, parts, none, sent)
			}
			n := 0
			for n == 0 || n == 10 {
				n, err = conn.TryWrite(bytes.Repeat([]byte{9}, 10))
				if check(t, err); n > 0 {
					wants = append(wants, bytes.Repeat([]byte{9}, n))
				}
			}
			check(t, conn.Close())
			if _, err := conn.TryWrite([]byte("x")); !errors.Is(err, net.ErrClosed) {
				t.Error(err)
			}
		})
		check(t, over.Wait(nil, 0))
		if len(got) != len(wants) {
			t.Fatalf("%d units arrived, of %d", len(got), len(wants))
		}
		for i := range got {
			if !bytes.Equal(got[i], wants[i]) {
				t.Fatalf("unit %d is % x, not % x", i, got[i], wants[i])
			}
		}
	})
}

// readUnits reads until the end what arrives, Write by Write.
func readUnits(t *testing.T, c net.Conn) (units [][]byte) {
	for {
		p := make([]byte, 100)
		n, err := c.Read(p)
		if err != nil {
			if err != io.EOF {
				t.Error(err)
			}
			return units
		}
		units = append(units, p[:n])
	}
}

// TestTryWriteNeverParks: where there is no room it takes nothing, and says nothing against it. A broken
// connection says so.
func TestTryWriteNeverParks(t *testing.T) {
	play(t, 1, Options{Window: 1000}, func(w *World) {
		w.Do(0, func() { serve(t, w, 0, func(net.Conn) { w.Sleep(time.Hour) }) })
		w.Do(1, func() {
			e := w.Host(1)
			conn, err := e.Net().Dial(w.Context(), w.Addr(0, 7000))
			check(t, err)
			taken := 0
			for range 100 {
				e.Enter()
				n, err := conn.TryWrite(make([]byte, 100))
				e.Leave()
				if check(t, err); n == 100 {
					taken++
				}
			}
			if taken != 10 {
				t.Errorf("%d of 100 bytes were taken into a window of 1000", taken)
			}
			w.ResetBetween(0, 1)
			if _, err := conn.TryWrite([]byte("x")); err == nil {
				t.Error("a broken connection takes a write")
			}
		})
	})
}

// TestTryWriteRunsBesideNoWrite: they would mix what they write.
func TestTryWriteRunsBesideNoWrite(t *testing.T) {
	w := New(1, Options{Window: 100})
	defer w.Close()
	var conn env.Conn
	w.Go(0, "server", func() { serve(t, w, 0, func(net.Conn) { w.Sleep(time.Hour) }) })
	w.Go(1, "client", func() {
		var err error
		conn, err = w.Host(1).Net().Dial(w.Context(), w.Addr(0, 7000))
		check(t, err)
		_, _ = conn.Write(make([]byte, 100))
		_, _ = conn.Write(make([]byte, 100)) // parks until the end of the test
	})
	w.Go(1, "other", func() {
		w.Sleep(time.Second)
		defer func() {
			if recover() == nil {
				t.Error("nothing said that a Write runs")
			}
			w.Stop()
		}()
		_, _ = conn.TryWrite([]byte("x"))
	})
	w.Run(time.Minute)
}
