package e2e

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/anishathalye/porcupine"
)

// A step is what a client asked of one key: to read it (none of the others), to put a value, to delete it,
// or to put a value if it holds another.
type step struct {
	put, erase, swap bool
	value, expect    string // empty: absent
}

// A told is what a client was answered. An answer that tells nothing leaves all open.
type told struct {
	known bool
	has   string // what the key held before, of a swap that failed as well; empty: absent
	done  bool   // of a swap
	blind bool   // of a swap that was done, which does not tell what the key held
}

// cell is one key, absent at first.
var cell = porcupine.Model{
	Init: func() any { return "" },
	Step: func(state, input, output any) (bool, any) {
		has, in, out := state.(string), input.(step), output.(told)
		if out.known && !out.blind && out.has != has {
			return false, has
		}
		switch {
		case in.swap:
			if out.known && out.done != (has == in.expect) {
				return false, has
			}
			if has == in.expect {
				return true, in.value
			}
			return true, has
		case in.put:
			return true, in.value
		case in.erase:
			return true, ""
		}
		return true, has
	},
	Equal:             func(a, b any) bool { return a.(string) == b.(string) },
	DescribeOperation: func(in, out any) string { return fmt.Sprintf("%+v: %+v", in, out) },
}

// A history is all that clients did, by key, and how it ended.
type history struct {
	began time.Time
	seen  ledger // answers and their revisions

	mu      sync.Mutex
	byKey   map[string][]porcupine.Operation
	ok      int // answered
	unknown int // writes that may have been done
	never   int // that the server said were not, and reads without an answer
}

func newHistory() *history {
	return &history{began: time.Now(), byKey: map[string][]porcupine.Operation{}, seen: ledger{changed: make(chan struct{})}}
}

// add notes a call that has ended. Unknown writes stay open for ever; what was never done is no part of it.
func (h *history) add(client int, key string, began, ended time.Time, in step, out told, never bool) {
	op := porcupine.Operation{ClientId: client, Input: in, Output: out, Call: int64(began.Sub(h.began)), Return: int64(ended.Sub(h.began))}
	h.mu.Lock()
	defer h.mu.Unlock()
	reads := !in.put && !in.erase && !in.swap
	switch {
	case out.known:
		h.ok++
	case never || reads:
		h.never++
		return
	default:
		h.unknown++
		op.Return = math.MaxInt64
	}
	h.byKey[key] = append(h.byKey[key], op)
}

// keys are all that were asked for.
func (h *history) keys() (keys []string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for k := range h.byKey {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}

// judgeTime bounds the search for an order of one key's calls. Mostly it ends in milliseconds.
const judgeTime = time.Minute

// judge looks for one order of the calls on each key that explains all answers, and for revisions that go
// back in real time, over all keys.
func (h *history) judge() error {
	var wrong []string
	for _, key := range h.keys() {
		switch porcupine.CheckOperationsTimeout(cell, h.byKey[key], judgeTime) {
		case porcupine.Illegal:
			wrong = append(wrong, fmt.Sprintf("no order of the %d calls on key %q explains their answers", len(h.byKey[key]), key))
		case porcupine.Unknown:
			wrong = append(wrong, fmt.Sprintf("no order of the %d calls on key %q was found within %v", len(h.byKey[key]), key, judgeTime))
		}
	}
	if err := h.seen.checkOrder(); err != nil {
		wrong = append(wrong, err.Error())
	}
	if len(wrong) == 0 {
		return nil
	}
	return fmt.Errorf("%s", strings.Join(wrong, "\n"))
}
