package e2e

import (
	"context"
	"strings"
	"testing"
	"time"

	"go.etcd.io/etcd/api/v3/mvccpb"
	clientv3 "go.etcd.io/etcd/client/v3"
)

// TestLedgerFindsPlantedFaults plants each fault that the ledger is to find, into a history without one.
func TestLedgerFindsPlantedFaults(t *testing.T) {
	start := time.Now()
	at := func(ms int) time.Time { return start.Add(time.Duration(ms) * time.Millisecond) }
	write := func(key string, begin, end int, revision int64) entry {
		return entry{who: "writer", key: key, value: []byte("v-" + key), write: true, begin: at(begin), end: at(end), revision: revision}
	}
	stored := func(key string, revision int64) *mvccpb.KeyValue {
		return &mvccpb.KeyValue{Key: []byte(key), Value: []byte("v-" + key), CreateRevision: revision, ModRevision: revision, Version: 1}
	}
	type history struct {
		entries []entry
		kvs     []*mvccpb.KeyValue
		events  []*clientv3.Event
	}
	whole := func() history {
		h := history{
			entries: []entry{write("a", 0, 1, 2), write("b", 2, 5, 4), write("c", 2, 4, 3), write("d", 6, 7, 0)},
			kvs:     []*mvccpb.KeyValue{stored("a", 2), stored("b", 4), stored("c", 3)},
		}
		h.entries[3].err = context.DeadlineExceeded
		for _, k := range []*mvccpb.KeyValue{h.kvs[0], h.kvs[2], h.kvs[1]} {
			h.events = append(h.events, &clientv3.Event{Type: clientv3.EventTypePut, Kv: k})
		}
		return h
	}
	for _, c := range []struct {
		name, want string
		plant      func(*history)
	}{
		{"nothing", "", func(*history) {}},
		{"an unknown write that is there", "", func(h *history) {
			k := stored("d", 5)
			h.kvs, h.events = append(h.kvs, k), append(h.events, &clientv3.Event{Type: clientv3.EventTypePut, Kv: k})
		}},
		{"a lost write", `key "a" is lost`, func(h *history) { h.kvs = h.kvs[1:] }},
		{"a changed byte", "differ from", func(h *history) { h.kvs[1].Value = []byte("v-B") }},
		{"a doubled write", "version 2", func(h *history) { h.kvs[1].Version, h.kvs[1].ModRevision = 2, 5 }},
		{"another revision than told", "was told", func(h *history) { h.entries[0].revision = 1 }},
		{"a key from nowhere", "never written", func(h *history) { h.kvs = append(h.kvs, stored("x", 5)) }},
		{"a stale read", "go back", func(h *history) {
			h.entries = append(h.entries, entry{who: "reader", begin: at(6), end: at(7), revision: 3})
		}},
		{"a missed event", "where 3 is next", func(h *history) { h.events = append(h.events[:1:1], h.events[2:]...) }},
		{"a doubled event", "where 3 is next", func(h *history) { h.events = append(h.events[:1:1], h.events...) }},
		{"a missed end", "the last event", func(h *history) { h.events = h.events[:2] }},
	} {
		h := whole()
		c.plant(&h)
		l := newLedger()
		for _, e := range h.entries {
			l.add(e)
		}
		w := &watcher{events: h.events}
		var found []string
		for _, err := range []error{l.checkOrder(), l.checkStored(h.kvs), w.check(h.kvs, int64(len(h.kvs)+1))} {
			if err != nil {
				found = append(found, err.Error())
			}
		}
		all := strings.Join(found, "\n")
		if c.want == "" && all != "" || !strings.Contains(all, c.want) {
			t.Errorf("%s: the checks say %q, want %q", c.name, all, c.want)
		}
	}
}
