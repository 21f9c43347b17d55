package lockstep_test

import (
	"context"
	"errors"
	"testing"

	"github.com/lockstep-rsm/lockstep"
	"github.com/lockstep-rsm/lockstep/machine/counter"
)

// scripted is a Caller that answers with these bytes, at an index that grows.
type scripted struct {
	data  []byte
	index lockstep.Index
	asked lockstep.ReadOptions
	err   error
}

func (s *scripted) Propose(context.Context, []byte) (lockstep.Result, error) {
	s.index += 10
	return lockstep.Result{Index: s.index, Data: s.data}, s.err
}

func (s *scripted) Read(_ context.Context, _ []byte, opts lockstep.ReadOptions) (lockstep.Result, error) {
	s.asked = opts
	return lockstep.Result{Index: s.index + 1, Data: s.data}, nil
}

// A typed client reads its own writes, and never before what it has read, at AtLeast; the index is there for others.
func TestTypedReadsAtLeastItsOwnWrites(t *testing.T) {
	on := &scripted{data: []byte("7")}
	c := lockstep.Typed(on, counter.Machine)
	if c.Seen() != 0 {
		t.Errorf("seen %d before the first call", c.Seen())
	}
	if _, err := c.Propose(t.Context(), counter.Add{N: 1}); err != nil || c.Seen() != 10 {
		t.Fatalf("seen %d, %v", c.Seen(), err)
	}
	for _, step := range []struct {
		opts        lockstep.ReadOptions
		after, seen lockstep.Index
	}{
		{lockstep.ReadOptions{}, 0, 11},
		{lockstep.ReadOptions{Level: lockstep.AtLeast}, 11, 11},
		{lockstep.ReadOptions{Level: lockstep.AtLeast, After: 5}, 11, 11},
		{lockstep.ReadOptions{Level: lockstep.AtLeast, After: 12}, 12, 11},
		{lockstep.ReadOptions{Level: lockstep.Stale}, 0, 11},
	} {
		if n, err := c.Read(t.Context(), counter.Get{}, step.opts); err != nil || n != 7 || on.asked.After != step.after || c.Seen() != step.seen {
			t.Errorf("%+v: %d, %v, asked after %d, seen %d", step.opts, n, err, on.asked.After, c.Seen())
		}
	}
}

// A refusal, and an error of a command that ran, have a place in the log as a result has: who was told them has seen it.
func TestTypedHasSeenWhatItWasRefusedAt(t *testing.T) {
	on := &scripted{err: &lockstep.Error{Op: "Propose", Group: 1, Outcome: lockstep.Committed, Err: lockstep.ErrForgotten}}
	if c := lockstep.Typed(on, counter.Machine); true {
		if _, err := c.Propose(t.Context(), counter.Add{N: 1}); !errors.Is(err, lockstep.ErrForgotten) || c.Seen() != 10 {
			t.Errorf("seen %d, %v, want 10", c.Seen(), err)
		}
	}
	group, done := alone(t.Context())
	defer done()
	session, err := group.Session(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, on := range []lockstep.Caller{group, session} {
		c := lockstep.Typed(on, counter.Machine)
		if _, err := c.Propose(t.Context(), counter.Add{N: -1}); !errors.Is(err, counter.ErrNegative) || c.Seen() == 0 {
			t.Errorf("seen %d, %v", c.Seen(), err)
		}
		seen := c.Seen()
		if _, err := c.Propose(t.Context(), counter.Add{N: -1}); !errors.Is(err, counter.ErrNegative) || c.Seen() <= seen {
			t.Errorf("seen %d after %d, %v", c.Seen(), seen, err)
		}
	}
}

// Tokens work in types, on a group and on a session of it; elsewhere, and of bytes that are none, the error is typed.
func TestTypedTakesTokens(t *testing.T) {
	group, done := alone(t.Context())
	defer done()
	session, err := group.Session(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for i, on := range []lockstep.Caller{group, session} {
		c := lockstep.Typed(on, counter.Machine)
		token, err := group.NewToken()
		if err != nil {
			t.Fatal(err)
		}
		want := int64(5 * (i + 1))
		for range 2 {
			if n, err := c.ProposeAs(t.Context(), token, counter.Add{N: 5}); n != want || err != nil {
				t.Errorf("propose: %d, %v, want %d", n, err, want)
			}
		}
		seen := c.Seen()
		if n, err := c.Lookup(t.Context(), token); n != want || err != nil || seen == 0 {
			t.Errorf("lookup: %d, %v, want %d, seen %d", n, err, want, seen)
		}
		never, err := group.NewToken()
		if err != nil {
			t.Fatal(err)
		}
		if _, err := c.Lookup(t.Context(), never); !errors.Is(err, lockstep.ErrNever) || lockstep.OutcomeOf(err) != lockstep.NotCommitted {
			t.Errorf("lookup of one that was never proposed: %v", err)
		}
	}
	c := lockstep.Typed(&scripted{data: []byte("no number")}, counter.Machine)
	_, propose := c.Propose(t.Context(), counter.Add{})
	_, read := c.Read(t.Context(), counter.Get{}, lockstep.ReadOptions{})
	_, as := c.ProposeAs(t.Context(), lockstep.Token{1}, counter.Add{})
	_, lookup := c.Lookup(t.Context(), lockstep.Token{1})
	for name, got := range map[string]struct {
		err  error
		what lockstep.Outcome
		is   error
	}{
		"Propose": {propose, lockstep.Committed, nil}, "Read": {read, lockstep.NotCommitted, nil},
		"ProposeAs": {as, lockstep.NotCommitted, lockstep.ErrOptions}, "Lookup": {lookup, lockstep.Unknown, lockstep.ErrOptions},
	} {
		var typed *lockstep.Error
		if !errors.As(got.err, &typed) || typed.Op != name || typed.Outcome != got.what || got.is != nil && !errors.Is(got.err, got.is) {
			t.Errorf("%s: %#v", name, got.err)
		}
	}
}
