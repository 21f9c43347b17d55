package transport

import (
	"bytes"
	"context"
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/lockstep-rsm/lockstep/internal/wire"
	"github.com/lockstep-rsm/lockstep/raft"
)

func snapshotHeader() wire.SnapshotHeader {
	id := raft.Identity{Group: 3, Birth: 5, Kind: raft.KindEmpty, Term: 2, Index: 70}
	return wire.SnapshotHeader{
		Format: wire.SnapshotFormat, Cluster: testCluster, Meta: raft.SnapshotMeta{Identity: id, Sum: id.Digest()}, Machine: "kv",
		Sessions: []byte("in the file"),
	}
}

// sendFile is a sender of data.
func sendFile(data []byte) func(offset int64, w io.Writer) error {
	return func(offset int64, w io.Writer) error {
		_, err := w.Write(data[offset:])
		return err
	}
}

func TestSnapshotStreamResumes(t *testing.T) {
	a, b := pair(t, nil)
	data := make([]byte, 1<<20+77)
	for i := range data {
		data[i] = byte(i * 7)
	}
	for _, offset := range []int64{0, 1, 64 << 10, 1 << 20, int64(len(data))} {
		var got []byte
		var header wire.SnapshotHeader
		b.h.snapshot = func(h wire.SnapshotHeader, resume func(int64) error, r io.Reader) (err error) {
			header = h
			if err := resume(offset); err != nil {
				return err
			}
			got, err = io.ReadAll(r)
			return err
		}
		if err := a.SendSnapshot(t.Context(), 2, snapshotHeader(), sendFile(data)); err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(got, data[offset:]) {
			t.Errorf("from %d: %d bytes of %d", offset, len(got), len(data)-int(offset))
		}
		if header.Meta.Index() != 70 || header.Machine != "kv" || header.Sessions != nil {
			t.Errorf("header %+v", header)
		}
	}
}

func TestSnapshotStreamIsRefused(t *testing.T) {
	a, b := pair(t, nil)
	full := errors.New("disk is full")
	endless := func(_ int64, w io.Writer) error {
		for {
			if _, err := w.Write(make([]byte, 1<<20)); err != nil {
				return err
			}
		}
	}
	for what, handle := range map[string]func(resume func(int64) error, r io.Reader) error{
		"at once": func(func(int64) error, io.Reader) error { return full },
		"in the middle": func(resume func(int64) error, r io.Reader) error {
			_ = resume(0)
			_, _ = io.CopyN(io.Discard, r, 3<<20)
			return full
		},
	} {
		b.h.snapshot = func(_ wire.SnapshotHeader, resume func(int64) error, r io.Reader) error { return handle(resume, r) }
		err := a.SendSnapshot(t.Context(), 2, snapshotHeader(), endless)
		if err == nil || !strings.Contains(err.Error(), "disk is full") || !strings.Contains(err.Error(), "send snapshot 70 to host 2") {
			t.Errorf("refused %s: %v", what, err)
		}
	}
	if err := a.SendSnapshot(t.Context(), 9, snapshotHeader(), endless); err == nil || !strings.Contains(err.Error(), "no peer") {
		t.Errorf("to a stranger: %v", err)
	}
}

// TestBrokenSnapshotStreamIsNoEnd: a stream that breaks off must not look whole.
func TestBrokenSnapshotStreamIsNoEnd(t *testing.T) {
	a, b := pair(t, nil)
	result := make(chan error, 1)
	b.h.snapshot = func(_ wire.SnapshotHeader, resume func(int64) error, r io.Reader) error {
		_ = resume(0)
		_, err := io.ReadAll(r)
		result <- err
		return err
	}
	broken := errors.New("source is damaged")
	err := a.SendSnapshot(t.Context(), 2, snapshotHeader(), func(_ int64, w io.Writer) error {
		if _, err := w.Write(make([]byte, 1<<20)); err != nil {
			return err
		}
		return broken
	})
	if !errors.Is(err, broken) {
		t.Errorf("sender: %v", err)
	}
	if err := <-result; err == nil {
		t.Error("receiver takes it for whole")
	}
}

func TestSnapshotStreamEndsWithItsContext(t *testing.T) {
	a, b := pair(t, nil)
	ctx, cancel := context.WithCancel(t.Context())
	b.h.snapshot = func(_ wire.SnapshotHeader, resume func(int64) error, r io.Reader) error {
		_ = resume(0)
		_, _ = io.CopyN(io.Discard, r, 1<<20)
		cancel()
		_, err := io.Copy(io.Discard, r)
		return err
	}
	err := a.SendSnapshot(ctx, 2, snapshotHeader(), func(_ int64, w io.Writer) error {
		for {
			if _, err := w.Write(make([]byte, 1<<20)); err != nil {
				return err
			}
		}
	})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
}

// TestCloseEndsStreams: Close must not wait for what is under way.
func TestCloseEndsStreams(t *testing.T) {
	a, b := pair(t, nil)
	under := make(chan struct{})
	b.h.snapshot = func(_ wire.SnapshotHeader, resume func(int64) error, r io.Reader) error {
		_ = resume(0)
		close(under)
		_, err := io.Copy(io.Discard, r)
		return err
	}
	done := make(chan error, 1)
	go func() {
		done <- a.SendSnapshot(context.Background(), 2, snapshotHeader(), func(_ int64, w io.Writer) error {
			for {
				if _, err := w.Write(make([]byte, 1<<20)); err != nil {
					return err
				}
			}
		})
	}()
	<-under
	if err := b.Close(); err != nil {
		t.Error(err)
	}
	if err := <-done; err == nil {
		t.Error("sent to a closed host")
	}
}
