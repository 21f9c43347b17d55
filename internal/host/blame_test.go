package host

import (
	"bytes"
	"testing"

	"github.com/lockstep-rsm/lockstep/machine"
)

func TestBlameNamesTheCommandOrTheRange(t *testing.T) {
	batch := []machine.Command{
		{Index: 7, Data: []byte("a")},
		{Index: 7, Ordinal: 1, Data: bytes.Repeat([]byte("\x00"), 1000)},
		{Index: 8, Tick: true},
	}
	zeroes := string(bytes.Repeat([]byte(`\x00`), maxNamedBytes))
	for _, c := range []struct {
		commands, answered int
		want               string
	}{
		{1, 0, `command 7.0 "a"`},
		{3, 0, `entries 7..8, with 0 of 3 commands answered, the next being command 7.0 "a"`},
		{3, 1, `entries 7..8, with 1 of 3 commands answered, the next being command 7.1 "` + zeroes + `"… of 1000 bytes`},
		{3, 2, `entries 7..8, with 2 of 3 commands answered, the next being tick 8`},
		{3, 3, `entries 7..8, with 3 of 3 commands answered`},
	} {
		l := &lane{execution: &execution{cmds: batch[:c.commands]}}
		for range c.answered {
			l.results.Reply(nil)
		}
		if got := l.blame(0, c.commands); got != c.want {
			t.Errorf("%d of %d answered: %s, want %s", c.answered, c.commands, got, c.want)
		}
	}
}
