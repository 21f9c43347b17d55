package kv

import (
	"fmt"

	"github.com/lockstep-rsm/lockstep/machine"
)

// Kind tells a host how to make the machine. Its Views are *View.
func Kind() machine.Kind {
	return machine.Kind{Oldest: 1, Newest: 1, New: func(*machine.Place) (machine.StateMachine, error) {
		return &store{state: newState()}, nil
	}}
}

// store is the machine.
type store struct{ state }

// Apply executes commands; see machine.StateMachine.
func (s *store) Apply(batch []machine.Command, out *machine.Results) error {
	for i := range batch {
		if err := s.apply(&batch[i], out); err != nil {
			return err
		}
	}
	return nil
}

func (s *store) apply(c *machine.Command, out *machine.Results) error {
	if c.Tick {
		s.scrub(scrubPerTick)
		s.due = c.Time + scrubEvery
		s.rest()
		out.Reply(nil)
		return nil
	}
	// Scrubbing before the command, and none for the command that begins one, keeps this independent
	// of batches.
	s.scrub(scrubPerCommand)
	s.rest()

	var op Op
	if err := op.UnmarshalBinary(c.Data); err != nil {
		out.Refuse(machine.CodeMalformed, err.Error())
		return nil
	}
	result, err := s.execute(&op, c)
	if err != nil {
		no := refuse(err)
		out.Refuse(no.Code, no.Text)
		return nil
	}
	b, ok := result.append(out.AvailableBuffer())
	if !ok {
		return fmt.Errorf("encode result of command %d.%d: %w", c.Index, c.Ordinal, errNoOp)
	}
	out.Reply(b)
	return nil
}

// execute does one command. Whatever can be refused is refused before the first effect.
func (s *store) execute(op *Op, c *machine.Command) (Result, error) {
	if err := op.Check(MaxTxnOps); err != nil {
		return Result{}, err
	}
	switch {
	case op.Put != nil:
		if err := s.checkPut(op.Put); err != nil {
			return Result{}, err
		}
		w := writer{state: &s.state}
		prev := w.put(op.Put)
		w.end()
		return Result{Revision: s.revision, Put: &PutResult{Prev: prev}}, nil
	case op.Delete != nil:
		w := writer{state: &s.state}
		result := w.delete(op.Delete)
		w.end()
		return Result{Revision: s.revision, Delete: &result}, nil
	case op.Txn != nil:
		return s.txn(op.Txn)
	case op.Compact != nil:
		if err := s.compact(op.Compact.Revision, c.Time); err != nil {
			return Result{}, err
		}
		return Result{Revision: s.revision, Compact: &CompactResult{}}, nil
	}
	return Result{}, ErrNotCommand
}

// View pins the store as it is; see machine.StateMachine. It is a *View.
func (s *store) View() machine.View { return &View{state: s.copy()} }

// Upgrade knows version 1 only.
func (s *store) Upgrade(v machine.Version) error {
	if v != 1 {
		return fmt.Errorf("upgrade kv to version %d: only version 1 is known", v)
	}
	return nil
}

// Deadline is set while a compaction is being scrubbed.
func (s *store) Deadline() (machine.Time, bool) { return s.due, s.pending() }

// Digest covers the whole store, and costs nothing.
func (s *store) Digest() (machine.Digest, bool) { return s.digest(), true }
