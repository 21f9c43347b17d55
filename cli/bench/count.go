package bench

import (
	"encoding/binary"
	"io"

	"github.com/lockstep-rsm/lockstep/machine"
)

// count is the machine of a run: it counts commands, whatever their bytes, so that a row is the
// engine's time and not a machine's.
type count struct{ n uint64 }

func (c *count) Apply(batch []machine.Command, out *machine.Results) error {
	for range batch {
		c.n++
		out.Reply(nil)
	}
	return nil
}

func (c *count) View() machine.View { return counted(c.n) }

func (c *count) Load(_ machine.Version, r *machine.Reader) error {
	var b [8]byte
	if _, err := io.ReadFull(r, b[:]); err != nil {
		return err
	}
	c.n = binary.LittleEndian.Uint64(b[:])
	return nil
}

func (c *count) Upgrade(machine.Version) error { return nil }

func (c *count) Deadline() (machine.Time, bool) { return 0, false }

func (c *count) Digest() (machine.Digest, bool) { return machine.Digest(c.n), true }

// counted is the count at one moment.
type counted uint64

func (c counted) bytes() []byte { return binary.LittleEndian.AppendUint64(nil, uint64(c)) }

func (c counted) Query(_ []byte, w io.Writer) error {
	_, err := w.Write(c.bytes())
	return err
}

func (c counted) Save(w *machine.Writer) error {
	_, err := w.Write(c.bytes())
	return err
}

func (counted) Close() error { return nil }
