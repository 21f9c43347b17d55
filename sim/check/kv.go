package check

import (
	"bytes"
	"fmt"
	"math"
	"time"

	"github.com/anishathalye/porcupine"

	"github.com/lockstep-rsm/lockstep/machine/kv"
)

// judgeTime is how long the search may take, of real time. It ends in a moment unless very many
// calls ended with nobody knowing how.
const judgeTime = 20 * time.Second

// KV is a judge of machine/kv that knows nothing of logs: it looks for one order of all calls on
// each key that explains every answer. Operations on several keys, and reads that may be old, are
// left to the Witness.
func KV(calls []*Call) (v Verdict) {
	var names []string
	byKey := map[string][]porcupine.Operation{}
	for _, c := range calls {
		key, op := keyOperation(c)
		if op == nil {
			continue
		}
		if byKey[key] == nil {
			names = append(names, key)
		}
		byKey[key] = append(byKey[key], *op)
		v.Judged++
	}
	for _, key := range names {
		ops := byKey[key]
		switch porcupine.CheckOperationsTimeout(keyModel, ops, judgeTime) {
		case porcupine.Unknown:
			v.Unknown++
		case porcupine.Illegal:
			if v.Broken == nil {
				v.Broken = fmt.Errorf("no order of the %d calls on key %q explains their answers", len(ops), key)
				v.Draw = drawKey(ops)
			}
		}
	}
	return v
}

// keyStep is one operation on one key: what it does, and what it was answered.
type keyStep struct {
	write, erase bool
	value        string
	expect       *string // of a comparison; empty: the key is absent
}

type keyAnswer struct {
	known bool
	value string // of a read, before a comparison's write otherwise; empty: absent
	done  bool   // the comparison held
}

// keyModel is a register that is empty at first.
var keyModel = porcupine.Model{
	Init: func() any { return "" },
	Step: func(state, input, output any) (bool, any) {
		has, in, out := state.(string), input.(keyStep), output.(keyAnswer)
		switch {
		case in.expect != nil:
			held := has == *in.expect
			if out.known && held != out.done {
				return false, has
			}
			if held {
				return true, in.value
			}
			return true, has
		case in.write:
			return true, in.value
		case in.erase:
			return !out.known || out.done == (has != ""), ""
		}
		return out.value == has, has
	},
	Equal: func(a, b any) bool { return a.(string) == b.(string) },

	DescribeOperation: func(input, output any) string { return input.(keyStep).describe(output.(keyAnswer)) },
	DescribeState:     func(state any) string { return brief(state.(string)) },
}

// keyOperation translates a call; nil: it is none of one key, or tells nothing.
func keyOperation(c *Call) (string, *porcupine.Operation) {
	if c.Outcome == Never || c.Query && (c.Outcome != Answered || !c.Linearizable) || c.Refusal != nil {
		return "", nil
	}
	var op kv.Op
	if op.UnmarshalBinary(c.Input) != nil {
		return "", nil
	}
	key, in := keyInput(&op)
	if key == "" {
		return "", nil
	}
	var out keyAnswer
	end := int64(math.MaxInt64)
	if c.Outcome == Answered {
		var r kv.Result
		if r.UnmarshalBinary(c.Output) != nil {
			return "", nil
		}
		out, end = keyOutput(&r), int64(c.Closed)
	}
	return key, &porcupine.Operation{ClientId: c.Client, Input: in, Call: int64(c.Opened), Output: out, Return: end}
}

func keyInput(op *kv.Op) (key string, in keyStep) {
	switch {
	case op.Put != nil:
		return string(op.Put.Key), keyStep{write: true, value: string(op.Put.Value)}
	case op.Delete != nil && len(op.Delete.End) == 0:
		return string(op.Delete.Key), keyStep{erase: true}
	case op.Range != nil && len(op.Range.End) == 0 && op.Range.Revision == 0:
		return string(op.Range.Key), keyStep{}
	case op.Txn != nil && len(op.Txn.Compares) == 1 && len(op.Txn.Success) == 1 && op.Txn.Success[0].Put != nil && len(op.Txn.Failure) == 0:
		cmp, put := &op.Txn.Compares[0], op.Txn.Success[0].Put
		if !bytes.Equal(cmp.Key, put.Key) {
			return "", keyStep{}
		}
		expect := string(cmp.Value) // of an absent key a comparison of versions with 0 holds
		return string(put.Key), keyStep{write: true, value: string(put.Value), expect: &expect}
	}
	return "", keyStep{}
}

func keyOutput(r *kv.Result) (out keyAnswer) {
	out.known = true
	switch {
	case r.Range != nil && len(r.Range.KVs) == 1:
		out.value = string(r.Range.KVs[0].Value)
	case r.Delete != nil:
		out.done = r.Delete.Deleted > 0
	case r.Txn != nil:
		out.done = r.Txn.Succeeded
	}
	return out
}
