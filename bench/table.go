package main

import (
	"encoding/binary"
	"fmt"
	"io"
	"slices"
	"sync"
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
// per key, in memory. It is copied page by page when a pinned copy is in use. It is safe for
// concurrent use.
type table struct {
	mu      sync.RWMutex
	pages   [keys / pageKeys]*page
	epoch   uint64 // counts the pins: what is older than the last pin must not be changed in place
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
	key := binary.LittleEndian.Uint64(cmd) % keys
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

// pin returns a copy that later commands leave as it is.
func (t *table) pin() *table {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.epoch++
	return &table{pages: t.pages, applied: t.applied}
}

func (t *table) get(key uint64) []byte {
	t.mu.RLock()
	defer t.mu.RUnlock()
	if p := t.pages[key%keys/pageKeys]; p != nil {
		return p.slots[key%pageKeys].value
	}
	return nil
}

// save writes a pinned table.
func (t *table) save(w io.Writer) error {
	head := binary.LittleEndian.AppendUint64(nil, t.applied)
	if _, err := w.Write(head); err != nil {
		return err
	}
	for k := range uint64(keys) {
		v := t.get(k)
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
	t.pages, t.epoch = [keys / pageKeys]*page{}, t.epoch+1
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
