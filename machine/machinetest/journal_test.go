package machinetest_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/fnv"
	"io"
	"math/rand/v2"

	"github.com/lockstep-rsm/lockstep/machine"
)

// journal is a machine that keeps every command. With a fault it breaks one rule of the contract.
type journal struct {
	fault string
	journalState
}

type journalState struct {
	lines [][]byte // append only, so that a View is a part of it
	chain uint64
	due   machine.Time
}

var process uint64 // counts what no replica may look at

func journalKind(fault string) machine.Kind {
	return machine.Kind{New: func(*machine.Place) (machine.StateMachine, error) {
		return &journal{fault: fault}, nil
	}}
}

func (j *journal) Apply(batch []machine.Command, out *machine.Results) error {
	for i := range batch {
		j.one(&batch[i], len(batch), out)
	}
	return nil
}

func (j *journal) one(c *machine.Command, batch int, out *machine.Results) {
	if c.Tick {
		j.due = 0
		if j.fault == "a Tick gets a reply" {
			out.Reply([]byte("tick"))
			return
		}
		out.Reply(nil)
		return
	}
	if len(c.Data) == 0 || c.Data[0] != 'c' {
		if j.fault == "garbage panics" {
			panic("what is this?")
		}
		if j.fault != "a refusal is forgotten" {
			out.Refuse(100, "no command")
		}
		return
	}
	line := bytes.Clone(c.Data)
	if j.fault == "Data is kept" {
		line = c.Data
	}
	if n := len(j.lines); n > 0 {
		j.chain ^= uint64(j.lines[n-1][0])
	}
	j.lines = append(j.lines, line)
	j.due = c.Time + 30e6
	h := fnv.New64a()
	fmt.Fprint(h, j.chain, c.Data)
	j.chain = h.Sum64()
	reply := j.chain
	switch j.fault {
	case "a result tells of the process":
		process++
		reply += process
	case "a result tells of the batch":
		reply += uint64(batch)
	}
	out.Reply(binary.LittleEndian.AppendUint64(out.AvailableBuffer(), reply))
}

func (j *journal) View() machine.View {
	v := &journalView{fault: j.fault, journalState: j.journalState}
	switch j.fault {
	case "a View sees the running state":
		v.live = j
	case "a View copies":
		v.lines = append([][]byte(nil), v.lines...)
	case "a View takes time":
		for i := range v.lines {
			h := fnv.New64a()
			h.Write(v.lines[i])
			v.waste ^= h.Sum64()
		}
	}
	return v
}

func (j *journal) Load(_ machine.Version, r *machine.Reader) error {
	data, err := io.ReadAll(r)
	if j.fault == "Load passes over an error" {
		err = nil
	}
	if err != nil {
		return err
	}
	if len(data) < 16 {
		return errors.New("it is too short")
	}
	if j.fault == "Load spoils the old state" {
		j.journalState = journalState{}
	}
	var s journalState
	s.chain, s.due = binary.LittleEndian.Uint64(data), machine.Time(binary.LittleEndian.Uint64(data[8:]))
	for data = data[16:]; len(data) > 0; {
		n, size := binary.Uvarint(data)
		if size <= 0 || n == 0 || n > uint64(len(data)-size) && j.fault != "Load panics" {
			return errors.New("a line is too short")
		}
		s.lines = append(s.lines, data[size:size+int(n)])
		data = data[size+int(n):]
	}
	if j.fault == "Load adds to the old state" {
		s.lines = append(j.lines, s.lines...)
	}
	j.journalState = s
	return nil
}

func (j *journal) Upgrade(machine.Version) error { return nil }

func (j *journal) Deadline() (machine.Time, bool) { return j.due, j.due != 0 }

func (j *journal) Digest() (machine.Digest, bool) {
	if j.fault == "the digest tells of the process" {
		process++
		return machine.Digest(process), true
	}
	return machine.Digest(j.chain), true
}

type journalView struct {
	journalState
	fault string
	live  *journal
	waste uint64
}

// Query gives a line by number.
func (v *journalView) Query(q []byte, w io.Writer) error {
	s := &v.journalState
	if v.live != nil {
		s = &v.live.journalState
	}
	if len(q) != 2 || len(s.lines) == 0 {
		return &machine.Refusal{Code: 101, Text: "no such line"}
	}
	if v.fault == "Query cannot" {
		return errors.New("not today")
	}
	_, err := w.Write(append([]byte(fmt.Sprint(len(s.lines))), s.lines[int(binary.LittleEndian.Uint16(q))%len(s.lines)]...))
	return err
}

func (v *journalView) Save(w *machine.Writer) error {
	b := binary.LittleEndian.AppendUint64(nil, v.chain)
	due := v.due
	if v.fault == "Save leaves out the deadline" {
		due = 0
	}
	b = binary.LittleEndian.AppendUint64(b, uint64(due))
	lines := v.lines
	if v.fault == "Save leaves out a line" && len(lines) > 1 {
		lines = lines[1:]
	}
	for _, line := range lines {
		b = append(binary.AppendUvarint(b, uint64(len(line))), line...)
	}
	_, err := w.Write(b)
	if v.fault == "Save passes over an error" {
		return nil
	}
	return err
}

func (v *journalView) Close() error { return nil }

func journalCommand(r *rand.Rand) []byte { return fmt.Appendf(nil, "command %d", r.IntN(1000)) }

func journalQuery(r *rand.Rand) []byte {
	return binary.LittleEndian.AppendUint16(nil, uint16(r.IntN(1<<16)))
}
