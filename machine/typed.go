package machine

import (
	"encoding"
	"fmt"
	"hash/fnv"
	"io"
	"reflect"
)

// Typed makes a StateMachine of two functions over a state S: commands C give results R, queries Q
// give answers A.
//
// Bytes: a type with AppendBinary and UnmarshalBinary uses them, slices of bytes and strings go as
// they are, all else is encoding/json (a build whose answers may differ raises its Version). The
// state S is saved the same way. A command that is a slice of bytes is valid during Apply only.
//
// Every error of the two functions is a refusal, equal on every replica, and what Apply changed
// before it returned an error stays changed: check first, then change. Only a panic quarantines.
// Bytes that are no C, or no Q, are refused with CodeMalformed; codes from 100 are the author's.
//
// A Typed is not changed once it is in use, and is then safe for concurrent use.
type Typed[S, C, R, Q, A any] struct {
	Apply func(s *S, c C, at *Command) (R, error) // executes one command; may not keep at
	Query func(s *S, q Q) (A, error)              // answers from a pinned state, which it may not change; several at once

	// Clone gives a copy that later Applies on s do not change, in O(1) for a big state (a
	// copy-on-write tree). nil: plain copy, and Kind panics, naming the field, if S holds a pointer,
	// map or slice.
	Clone func(s *S) *S

	Oldest, Newest Version // as in Kind

	// Upgrade brings a state to version v, from the one before; one that is empty, too, where a group begins as v. Apply
	// is not told of versions: let Upgrade note in S what it has to know. nil: nothing to do.
	Upgrade func(s *S, v Version) error
}

// Define makes a Typed of its two functions, and infers all five types.
func Define[S, C, R, Q, A any](apply func(*S, C, *Command) (R, error), query func(*S, Q) (A, error)) *Typed[S, C, R, Q, A] {
	return &Typed[S, C, R, Q, A]{Apply: apply, Query: query}
}

// Kind tells a host how to make the machine. It panics, naming the field, if S holds a pointer, map
// or slice and there is no Clone, or if S is saved as JSON and has a field that JSON passes over:
// mistakes of the author, found at the first start.
func (t *Typed[S, C, R, Q, A]) Kind() Kind {
	state := reflect.TypeFor[S]()
	if t.Clone == nil {
		checkPlain(state, state.String())
	}
	if formOf[S]() == asJSON {
		checkSaved(state, state.String(), map[reflect.Type]bool{})
	}
	k := Kind{Oldest: max(t.Oldest, 1), Newest: max(t.Newest, t.Oldest, 1)}
	k.New = func(p *Place) (StateMachine, error) {
		m := newTyped(t)
		for v := Version(2); v <= p.Version; v++ {
			if err := m.Upgrade(v); err != nil {
				return nil, fmt.Errorf("upgrade an empty state %T to version %d: %w", *m.state, v, err)
			}
		}
		return m, nil
	}
	return k
}

// EncodeCommand gives the bytes of a command, for a client to propose.
func (t *Typed[S, C, R, Q, A]) EncodeCommand(c C) ([]byte, error) {
	return encode("command", &c)
}

// DecodeReply is the result in a reply. A slice of bytes stays a part of data.
func (t *Typed[S, C, R, Q, A]) DecodeReply(data []byte) (R, error) {
	return decode[R]("reply", data)
}

// EncodeQuery gives the bytes of a query, for a client to read with.
func (t *Typed[S, C, R, Q, A]) EncodeQuery(q Q) ([]byte, error) {
	return encode("query", &q)
}

// DecodeAnswer is the answer to a query. A slice of bytes stays a part of data.
func (t *Typed[S, C, R, Q, A]) DecodeAnswer(data []byte) (A, error) {
	return decode[A]("answer", data)
}

func encode[T any](what string, v *T) ([]byte, error) {
	b, err := appendValue(nil, formOf[T](), v)
	if err != nil {
		return nil, fmt.Errorf("encode %s %T: %w", what, *v, err)
	}
	return b, nil
}

func decode[T any](what string, data []byte) (T, error) {
	var v T
	if err := decodeValue(data, formOf[T](), &v); err != nil {
		var zero T
		return zero, fmt.Errorf("decode %s %T: %w", what, v, err)
	}
	return v, nil
}

// typed is the machine of a Typed. The command and the result pass through fields of it, so that
// their address may be taken without an allocation per command.
type typed[S, C, R, Q, A any] struct {
	t     *Typed[S, C, R, Q, A]
	state *S

	command C
	takes   encoding.BinaryUnmarshaler // the command, if it is asBinary
	result  R
	appends encoding.BinaryAppender // the result, if it is asBinary

	formC, formR, formS form
}

func newTyped[S, C, R, Q, A any](t *Typed[S, C, R, Q, A]) *typed[S, C, R, Q, A] {
	m := &typed[S, C, R, Q, A]{t: t, state: new(S), formC: formOf[C](), formR: formOf[R](), formS: formOf[S]()}
	if m.formC == asBinary {
		m.takes = any(&m.command).(encoding.BinaryUnmarshaler)
	}
	if m.formR == asBinary {
		m.appends = any(&m.result).(encoding.BinaryAppender)
	}
	return m
}

func (m *typed[S, C, R, Q, A]) Apply(batch []Command, out *Results) error {
	for i := range batch {
		if batch[i].Tick {
			out.Reply(nil)
			continue
		}
		m.apply(&batch[i], out)
	}
	return nil
}

func (m *typed[S, C, R, Q, A]) apply(c *Command, out *Results) {
	var zero C
	m.command = zero
	var err error
	if m.takes != nil {
		err = m.takes.UnmarshalBinary(c.Data)
	} else {
		err = decodeValue(c.Data, m.formC, &m.command)
	}
	if err != nil {
		out.Refuse(CodeMalformed, err.Error())
		return
	}
	m.result, err = m.t.Apply(m.state, m.command, c)
	if err != nil {
		out.Refuse(refusalOf(err))
		return
	}
	var b []byte
	if m.appends != nil {
		b, err = m.appends.AppendBinary(out.AvailableBuffer())
	} else {
		b, err = appendValue(out.AvailableBuffer(), m.formR, &m.result)
	}
	if err != nil {
		out.Refuse(CodeUnencodable, err.Error())
		return
	}
	out.Reply(b)
}

func (m *typed[S, C, R, Q, A]) View() View {
	v := &typedView[S, C, R, Q, A]{t: m.t}
	if m.t.Clone != nil {
		v.state = m.t.Clone(m.state)
	} else {
		state := *m.state
		v.state = &state
	}
	return v
}

func (m *typed[S, C, R, Q, A]) Load(_ Version, r *Reader) error {
	data, err := io.ReadAll(partOnly{r})
	if err != nil {
		return fmt.Errorf("read state: %w", err)
	}
	state := new(S)
	if err := decodeValue(data, m.formS, state); err != nil {
		return fmt.Errorf("decode state %T: %w", *state, err)
	}
	m.state = state
	return nil
}

func (m *typed[S, C, R, Q, A]) Upgrade(v Version) error {
	if m.t.Upgrade == nil {
		return nil
	}
	return m.t.Upgrade(m.state, v)
}

func (m *typed[S, C, R, Q, A]) Deadline() (Time, bool) { return 0, false }

// Digest is taken of the encoded state where that is small by construction: without a Clone the
// state is a handful of plain fields.
func (m *typed[S, C, R, Q, A]) Digest() (Digest, bool) {
	if m.t.Clone != nil {
		return 0, false
	}
	b, err := appendValue(nil, m.formS, m.state)
	if err != nil {
		return 0, false
	}
	h := fnv.New64a()
	h.Write(b)
	return Digest(h.Sum64()), true
}

type typedView[S, C, R, Q, A any] struct {
	t     *Typed[S, C, R, Q, A]
	state *S
}

func (v *typedView[S, C, R, Q, A]) Query(q []byte, w io.Writer) error {
	var query Q
	if err := decodeValue(q, formOf[Q](), &query); err != nil {
		return &Refusal{Code: CodeMalformed, Text: err.Error()}
	}
	answer, err := v.t.Query(v.state, query)
	if err != nil {
		code, text := refusalOf(err)
		return &Refusal{Code: code, Text: text}
	}
	b, err := appendValue(nil, formOf[A](), &answer)
	if err != nil {
		return &Refusal{Code: CodeUnencodable, Text: err.Error()}
	}
	_, err = w.Write(b)
	return err
}

func (v *typedView[S, C, R, Q, A]) Save(w *Writer) error {
	b, err := appendValue(nil, formOf[S](), v.state)
	if err != nil {
		return fmt.Errorf("encode state %T: %w", *v.state, err)
	}
	_, err = w.Write(b)
	return err
}

func (v *typedView[S, C, R, Q, A]) Close() error {
	v.state = nil
	return nil
}
