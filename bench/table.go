package main

import (
	"encoding/binary"
	"fmt"
	"io"
	"slices"
	"sync"
	"sync/atomic"
)

const (
	keys     = 1 << 16 // a put goes to one of so many keys
	pageKeys = 64
)

// A command puts its bytes after the first eight under the key that the first eight say.
func putCommand(key, salt uint64, size int) []byte {
	b := make([]byte, max(size, 8))
	binary.LittleEndian.PutUint64(b, key%keys)
	if size >= 16 {
		binary.LittleEndian.PutUint64(b[8:], salt)
	}
	return b
}

// A table is the state that all library peers replicate, so that all execute the same work: a value
// per key, in memory. It takes room for the keys that it holds, and a page is copied before it is
// changed while a pinned copy is in use. It is safe for concurrent use.
type table struct {
	mu      sync.RWMutex
	pages   []*page
	epoch   uint64       // what is older must not be changed in place
	shared  bool         // pages were pinned since the last command
	pins    atomic.Int64 // in use
	applied uint64
}

type page struct {
	epoch uint64
	slots [pageKeys]slot
}

type slot struct {
	epoch uint64
	value []byte
}

// apply executes a command. The caller holds mu.
func (t *table) apply(index uint64, cmd []byte) {
	t.applied = index
	if len(cmd) < 8 {
		return
	}
	if t.shared {
		if t.shared = false; t.pins.Load() > 0 {
			t.pages, t.epoch = slices.Clone(t.pages), t.epoch+1
		}
	}
	key := binary.LittleEndian.Uint64(cmd) % keys
	for n := int(key/pageKeys) + 1; len(t.pages) < n; {
		t.pages = append(t.pages, nil)
	}
	at := &t.pages[key/pageKeys]
	if *at == nil {
		*at = &page{epoch: t.epoch}
	} else if (*at).epoch != t.epoch {
		mine := **at
		mine.epoch = t.epoch
		*at = &mine
	}
	s := &(*at).slots[key%pageKeys]
	if s.epoch == t.epoch && len(s.value) == len(cmd)-8 {
		copy(s.value, cmd[8:])
		return
	}
	*s = slot{t.epoch, slices.Clone(cmd[8:])}
}

func (t *table) get(key uint64) []byte {
	t.mu.RLock()
	defer t.mu.RUnlock()
	return valueOf(t.pages, key)
}

func valueOf(pages []*page, key uint64) []byte {
	if at := key % keys / pageKeys; at < uint64(len(pages)) && pages[at] != nil {
		return pages[at].slots[key%pageKeys].value
	}
	return nil
}

// last is the index of the last command.
func (t *table) last() uint64 {
	t.mu.RLock()
	defer t.mu.RUnlock()
	return t.applied
}

// pinned is a table as it was, until unpin.
type pinned struct {
	of      *table
	pages   []*page
	applied uint64
}

// pin returns a copy that later commands leave as it is.
func (t *table) pin() *pinned {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.shared = true
	t.pins.Add(1)
	return &pinned{of: t, pages: t.pages, applied: t.applied}
}

// unpin ends the copy. It is called once.
func (p *pinned) unpin() { p.of.pins.Add(-1) }

func (p *pinned) get(key uint64) []byte { return valueOf(p.pages, key) }

// save writes the copy.
func (p *pinned) save(w io.Writer) error {
	head := binary.LittleEndian.AppendUint64(nil, p.applied)
	if _, err := w.Write(head); err != nil {
		return err
	}
	for k := range uint64(keys) {
		v := p.get(k)
		head = binary.LittleEndian.AppendUint32(head[:0], uint32(len(v)))
		if _, err := w.Write(head); err != nil {
			return err
		}
		if _, err := w.Write(v); err != nil {
			return err
		}
	}
	return nil
}

// load replaces the contents by what save wrote.
func (t *table) load(r io.Reader) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	var head [8]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return fmt.Errorf("read table: %w", err)
	}
	applied := binary.LittleEndian.Uint64(head[:])
	t.pages, t.shared = nil, false
	for k := range uint64(keys) {
		if _, err := io.ReadFull(r, head[:4]); err != nil {
			return fmt.Errorf("read table: %w", err)
		}
		n := binary.LittleEndian.Uint32(head[:4])
		if n == 0 {
			continue
		}
		cmd := binary.LittleEndian.AppendUint64(make([]byte, 0, 8+n), k)[:8+n]
		if _, err := io.ReadFull(r, cmd[8:]); err != nil {
			return fmt.Errorf("read table: %w", err)
		}
		t.apply(applied, cmd)
	}
	t.applied = applied
	return nil
}
