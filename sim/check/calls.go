package check

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/lockstep-rsm/lockstep/machine"
)

// A Call is one command or query of a client: what it asked, when, and what it was told.
type Call struct {
	Client       int
	Host         int
	Query        bool
	Input        []byte
	Began, Ended time.Duration // of the world
	Opened       uint64        // its beginning's place among all beginnings and ends: many share an instant
	Closed       uint64        // likewise of its end. Zero: it has not ended
	Index        machine.Index // with Outcome Answered, or Ran
	Ordinal      uint32
	Output       []byte // the answer; with Refusal nil
	Refusal      *machine.Refusal
	Outcome      Outcome
	Why          error
	Linearizable bool          // of a query
	AtLeast      machine.Index // of a query that is not linearizable
	MaxAge       time.Duration // likewise: what had completed so long before it began is in its state. Zero: no bound
	Stream       int           // not zero: commands of one stream were taken by one life of a host in the order of Begin, all different
	floor        machine.Index // what completed before it began
}

// Outcome is what a client knows of its call.
type Outcome uint8

// The outcomes.
const (
	Open     Outcome = iota // it has not ended
	Answered                // the machine's reply or refusal
	Never                   // it is not in the log and never will be
	Maybe                   // nobody knows
	Ran                     // it is in the log, at its place; its answer is not kept any more
)

// Calls are all calls of one simulation. Their answers are compared with the witness's as they
// come, and their order in the log with their order in time.
type Calls struct {
	fail    Fail
	w       *Witness
	All     []*Call
	floor   machine.Index // highest index that a completed call has shown
	rises   []rise        // of floor, in order
	taken   map[place]*Call
	sent    map[string]int // commands by their bytes, those that are Never in the log left out
	ended   [Ran + 1]int
	turns   uint64          // beginnings and ends
	given   machine.Results // of the call that is judged, and its answer in bytes
	encoded []byte
	want    bytes.Buffer // what the query that is judged should have been answered
}

// rise is a time at which floor has risen.
type rise struct {
	at time.Duration
	to machine.Index
}

// raise notes what a call that ends now has shown.
func (c *Calls) raise(call *Call) {
	if call.Index > c.floor {
		c.floor = call.Index
		c.rises = append(c.rises, rise{call.Ended, call.Index})
	}
}

// floorAt is the floor as it was.
func (c *Calls) floorAt(at time.Duration) machine.Index {
	i, _ := slices.BinarySearchFunc(c.rises, at, func(r rise, at time.Duration) int { return cmp.Compare(r.at, at+1) })
	if i == 0 {
		return 0
	}
	return c.rises[i-1].to
}

type place struct {
	index   machine.Index
	ordinal uint32
}

// NewCalls compares with what w has executed.
func NewCalls(w *Witness, fail Fail) *Calls {
	return &Calls{fail: fail, w: w, taken: map[place]*Call{}, sent: map[string]int{}}
}

// Ended is how many calls ended so.
func (c *Calls) Ended(o Outcome) int { return c.ended[o] }

// Begin notes that a call is made.
func (c *Calls) Begin(call *Call) {
	c.turns++
	call.Opened, call.floor = c.turns, c.floor
	c.All = append(c.All, call)
	if !call.Query {
		c.sent[string(call.Input)]++
	}
}

// End notes how it ended, and judges the answer.
func (c *Calls) End(call *Call) {
	c.turns++
	call.Closed = c.turns
	c.ended[call.Outcome]++
	switch {
	case call.Outcome == Never && !call.Query:
		c.sent[string(call.Input)]--
	case call.Outcome != Answered && call.Outcome != Ran:
	case call.Query:
		c.answered(call)
	default:
		c.executed(call)
	}
}

// executed judges an acknowledged command.
func (c *Calls) executed(call *Call) {
	at := place{call.Index, call.Ordinal}
	e := c.w.at(call.Index, call.Ordinal)
	switch {
	case e == nil:
		c.fail("H2: client %d on host %d was answered at %d.%d, which nobody has executed", call.Client, call.Host, call.Index, call.Ordinal)
		return
	case !bytes.Equal(e.data, call.Input):
		c.fail("H2: client %d on host %d proposed %q and was answered at %d.%d, which is %q", call.Client, call.Host, call.Input, call.Index, call.Ordinal, e.data)
	case c.taken[at] != nil:
		c.fail("H2: clients %d and %d were both answered at %d.%d", c.taken[at].Client, call.Client, call.Index, call.Ordinal)
	case call.Index <= call.floor:
		c.fail("H3: client %d on host %d was answered at %d.%d, but %d had completed before it asked", call.Client, call.Host, call.Index, call.Ordinal, call.floor)
	}
	c.taken[at] = call
	if got := c.encode(call); call.Outcome == Answered && !bytes.Equal(got, e.result) {
		c.fail("H1: client %d on host %d was answered %q at %d.%d, the sequential replay of the log says %q", call.Client, call.Host, got, call.Index, call.Ordinal, e.result)
	}
	c.raise(call)
}

// encode is the answer as Results.AppendResult has it, until the next one.
func (c *Calls) encode(call *Call) []byte {
	c.given.Reset()
	if call.Refusal != nil {
		c.given.Refuse(call.Refusal.Code, call.Refusal.Text)
	} else {
		c.given.Reply(call.Output)
	}
	c.encoded = c.given.AppendResult(c.encoded[:0], 0)
	return c.encoded
}

// answered judges a query's answer.
func (c *Calls) answered(call *Call) {
	if call.Linearizable && call.Index < call.floor {
		c.fail("R8: client %d on host %d read the state at %d, but %d had completed before it asked", call.Client, call.Host, call.Index, call.floor)
	}
	if call.Index < call.AtLeast {
		c.fail("H3: client %d on host %d read the state at %d, and asked for %d at least", call.Client, call.Host, call.Index, call.AtLeast)
	}
	if floor := c.floorAt(call.Began - call.MaxAge); call.MaxAge > 0 && call.Index < floor {
		c.fail("H26: client %d on host %d read the state at %d, and wanted one at most %v old: %d had completed before", call.Client, call.Host, call.Index, call.MaxAge, floor)
	}
	want := &c.want
	want.Reset()
	err := c.w.view(call.Index).Query(call.Input, want)
	no := refusal(err)
	switch {
	case err != nil && no == nil:
		c.fail("H1: the witness's view at %d: %v", call.Index, err)
	case (no == nil) != (call.Refusal == nil) || no != nil && *no != *call.Refusal || no == nil && !bytes.Equal(want.Bytes(), call.Output):
		c.fail("H1: client %d on host %d read %q, %v at %d, the sequential replay of the log says %q, %v",
			call.Client, call.Host, call.Output, call.Refusal, call.Index, want.Bytes(), no)
	}
	if call.Linearizable {
		c.raise(call)
	}
}

// refusal is the machine's in err; nil: there is none.
func refusal(err error) *machine.Refusal {
	var no *machine.Refusal
	if err == nil || !errors.As(err, &no) {
		return nil
	}
	return no
}

// Finish judges what can only be told at the end: no command was executed more often than it was
// sent, and none that its client was told is in no log; those of one stream are in the log in their order.
func (c *Calls) Finish() {
	c.judgeStreams()
	for i := range c.w.log {
		e := &c.w.log[i]
		if n := c.w.counts[string(e.data)]; !e.tick && n > c.sent[string(e.data)] {
			c.fail("H2: command %d.%d %q was executed %d times in all, and sent %d times", e.index, e.ordinal, e.data, n, c.sent[string(e.data)])
			return
		}
	}
}

// judgeStreams looks whether a command overtook another one of its stream (H7).
func (c *Calls) judgeStreams() {
	sent := map[string]int{} // in All, by the command
	for i, call := range c.All {
		if call.Stream != 0 {
			sent[string(call.Input)] = i
		}
	}
	last := map[int]int{} // in All, by stream
	for i := range c.w.log {
		e := &c.w.log[i]
		n, ok := sent[string(e.data)]
		if e.tick || !ok {
			continue
		}
		call := c.All[n]
		if before, any := last[call.Stream]; any && before > n {
			c.fail("H7: client %d started %q on host %d before %q, and it was executed after that, at %d.%d",
				call.Client, call.Input, call.Host, c.All[before].Input, e.index, e.ordinal)
			return
		}
		last[call.Stream] = n
	}
}

// String tells the call in one line.
func (c *Call) String() string {
	return fmt.Sprintf("%v client %d host %d query=%v %q: %d.%d %q %v", c.Began, c.Client, c.Host, c.Query, c.Input, c.Index, c.Ordinal, c.Output, c.Why)
}
