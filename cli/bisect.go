package cli

import (
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path"
	"strconv"
	"unicode/utf8"

	"github.com/spf13/cobra"

	"github.com/lockstep-rsm/lockstep"
	"github.com/lockstep-rsm/lockstep/env"
	"github.com/lockstep-rsm/lockstep/machine"
	"github.com/lockstep-rsm/lockstep/machine/kv"
)

// bisected is what bisect prints as JSON; numbers of both sides stand in the order of the directories.
type bisected struct {
	Differ  bool              `json:"differ"`
	What    string            `json:"what"` // command, state, log; empty: no difference
	From    uint64            `json:"from"`
	Through uint64            `json:"through"`
	Index   uint64            `json:"index"`
	Ordinal uint32            `json:"ordinal"`
	Terms   [2]uint64         `json:"terms"`
	Digests [2]machine.Digest `json:"digests"`
	Command string            `json:"command"` // hex; where the logs differ, the first one's entry
	Other   string            `json:"other"`   // hex; where the logs differ, the second one's entry
	Results [2]string         `json:"results"` // hex
	Failed  [2]string         `json:"failed"`
}

func (p *Program) bisect() *cobra.Command {
	var group uint64
	c := &cobra.Command{
		Use: "bisect DIR DIR", Short: "Find the first command after which two replicas differ", Args: exactly(2),
		Long: `Execute side by side what two hosts that are stopped, or copies of their directories, have of the group of keys, with
the machine of this build, and find the first command after which their states or answers differ. Nothing is written.
Exit code 0: they do not differ; 5: they do; 1: they cannot be compared.`,
		RunE: func(_ *cobra.Command, args []string) error {
			left := func(dir string) lockstep.Left {
				return lockstep.Left{Dir: dir, Machines: map[string]machine.Kind{"kv": kv.Kind()}}
			}
			if sameDirectory(args[0], args[1]) {
				return usage(fmt.Errorf("%s and %s are one directory. Give those of two hosts", args[0], args[1]))
			}
			d, err := lockstep.Bisect(lockstep.GroupID(group), left(args[0]), left(args[1]))
			var locked *env.LockedError
			if errors.As(err, &locked) {
				return fmt.Errorf("data directory %s is in use by %s. Stop it, or compare a copy of the directory", path.Dir(locked.Name), holder(locked))
			}
			if err != nil {
				return err
			}
			if p.output == "json" {
				err = p.json(shownDifference(d))
			} else {
				err = p.printDifference(d, args)
			}
			if err == nil && d.Found {
				err = &codedError{exitNo, fmt.Errorf("%s and %s differ", args[0], args[1])}
			}
			return err
		},
	}
	c.Flags().Uint64Var(&group, "group", 1, "the group; 1 is that of keys")
	return c
}

// sameDirectory says that two names are of one directory; what cannot be looked at Bisect will tell.
func sameDirectory(a, b string) bool {
	x, err := os.Stat(a)
	if err != nil {
		return false
	}
	y, err := os.Stat(b)
	return err == nil && os.SameFile(x, y)
}

func shownDifference(d *lockstep.Difference) bisected {
	b := bisected{
		Differ: d.Found, What: what(d), From: uint64(d.From), Through: uint64(d.Through), Index: uint64(d.Index), Ordinal: d.Ordinal,
		Terms: d.Term, Digests: d.Digest, Command: hex.EncodeToString(d.Command[0]), Other: hex.EncodeToString(d.Command[1]),
	}
	for i := range d.Failed {
		b.Results[i] = hex.EncodeToString(d.Result[i])
		if d.Failed[i] != nil {
			b.Failed[i] = d.Failed[i].Error()
		}
	}
	return b
}

func what(d *lockstep.Difference) string {
	switch {
	case !d.Found:
		return ""
	case d.Log:
		return "log"
	case d.Before:
		return "state"
	}
	return "command"
}

func (p *Program) printDifference(d *lockstep.Difference, dirs []string) error {
	switch what(d) {
	case "":
		_, err := fmt.Fprintf(p.Out, "no difference: entries %d to %d give equal states and answers in both\n", d.From, d.Through)
		return err
	case "log":
		fmt.Fprintf(p.Out, "the logs differ from entry %d on. An entry that was not committed may; committed ones never do\n", d.Index)
	case "state":
		fmt.Fprintf(p.Out, "the states differ behind entry %d already, where the comparison begins\n", d.Index)
	default:
		fmt.Fprintf(p.Out, "the first difference is command %d.%d %s\n", d.Index, d.Ordinal, readable(d.Command[0]))
	}
	rows := [][]string{{"DIRECTORY", "TERM", "DIGEST", "ANSWER"}}
	for i, dir := range dirs {
		answer := readable(d.Result[i])
		if d.Failed[i] != nil {
			answer = d.Failed[i].Error()
		} else if d.Log {
			answer = "entry " + readable(d.Command[i])
		}
		rows = append(rows, []string{dir, strconv.FormatUint(d.Term[i], 10), d.Digest[i].String(), answer})
	}
	p.table(rows)
	return nil
}

// readable is a text as it is, quoted, and other bytes in hex; the first of them.
func readable(b []byte) string {
	const most = 64
	more := ""
	if len(b) > most {
		b, more = b[:most], "…"
	}
	if utf8.Valid(b) {
		return strconv.Quote(string(b)) + more
	}
	return hex.EncodeToString(b) + more
}
