package cli

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/lockstep-rsm/lockstep/env"
)

// finding is one line of doctor.
type finding struct {
	What  string `json:"what"`
	Value string `json:"value"`
	OK    bool   `json:"ok"`
	Do    string `json:"do"`
}

func (p *Program) doctor() *cobra.Command {
	var dir string
	c := &cobra.Command{
		Use: "doctor", Short: "Look at this machine's disk, clock and limits", Args: exactly(0),
		Long: "Look at this machine's disk, clock and limits. Exit code 0: all is ok; 1: something is worth a look.",
		RunE: func(*cobra.Command, []string) error {
			found, err := p.examine(dir)
			if err != nil {
				return err
			}
			if p.output == "json" {
				err = p.json(found)
			} else {
				rows := [][]string{{"WHAT", "VALUE", "", "DO"}}
				for _, f := range found {
					mark := "ok"
					if !f.OK {
						mark = "look"
					}
					rows = append(rows, []string{f.What, f.Value, mark, f.Do})
				}
				p.table(rows)
			}
			if err == nil && slices.ContainsFunc(found, func(f finding) bool { return !f.OK }) {
				return &codedError{code: exitFailed}
			}
			return err
		},
	}
	c.Flags().StringVar(&dir, "data", ".", "a directory on the disk that the data is, or will be, on; one that is not there: the nearest above it")
	return c
}

// Bounds of what is worth no word.
const (
	slowSync  = 20 * time.Millisecond
	fewFiles  = 4096
	littleGiB = 2
)

func (p *Program) examine(dir string) ([]finding, error) {
	for {
		if _, err := os.Stat(dir); err == nil || filepath.Dir(dir) == dir {
			break
		}
		dir = filepath.Dir(dir) // not made yet: its parent is on the same disk
	}
	times, err := p.syncTimes(dir)
	if err != nil {
		return nil, fmt.Errorf("measure disk: %w", err)
	}
	half, worst := times[len(times)/2], times[len(times)-1]
	disk := finding{What: "disk sync", Value: fmt.Sprintf("median %v, worst of %d %v in %s", half.Round(time.Microsecond), len(times), worst.Round(time.Microsecond), asPath(dir)), OK: worst < slowSync}
	if !disk.OK {
		disk.Do = "every write waits for it: use a disk of its own, or a faster one"
	}
	free, err := p.env.FS().Free(dir)
	if err != nil {
		return nil, fmt.Errorf("measure disk: %w", err)
	}
	space := finding{What: "disk space", Value: fmt.Sprintf("%.1f GiB free", float64(free)/(1<<30)), OK: free > littleGiB<<30}
	if !space.OK {
		space.Do = "the log takes up to 4 GiB: make room, or give serve a smaller --max-wal-bytes"
	}
	out := []finding{disk, space, p.clock()}
	if n, ok := openFiles(); ok {
		files := finding{What: "open files", Value: fmt.Sprint(n), OK: n >= fewFiles}
		if !files.OK {
			files.Do = fmt.Sprintf("each client takes one: raise it to %d or more with ulimit -n", fewFiles)
		}
		out = append(out, files)
	}
	return out, nil
}

// syncTimes measures durable writes of one block as the log makes them, sorted.
func (p *Program) syncTimes(dir string) ([]time.Duration, error) {
	name := filepath.Join(dir, fmt.Sprintf(".lockstep-doctor-%d", p.env.Facts().PID))
	f, err := p.env.FS().Open(name, env.Write|env.Create|env.Direct)
	if err != nil {
		return nil, err
	}
	defer func() { _ = p.env.FS().Remove(name) }()
	defer f.Close()
	const writes = 50
	if err := f.Allocate(writes * env.BlockSize); err != nil {
		return nil, err
	}
	if err := f.Sync(); err != nil {
		return nil, err
	}
	block := env.Aligned(env.BlockSize)
	var times []time.Duration
	for i := range writes {
		began := p.env.Clock().Now()
		if err := f.WriteSync(block, int64(i)*env.BlockSize); err != nil {
			return nil, err
		}
		times = append(times, p.env.Clock().Now()-began)
	}
	slices.Sort(times)
	return times, nil
}

// clock sees whether time passes evenly: a stolen processor or a jumping clock does not.
func (p *Program) clock() finding {
	const wait = 10 * time.Millisecond
	w := p.env.NewWaiter()
	worst, jump := time.Duration(0), time.Duration(0)
	for range 10 {
		wall, began := p.env.Clock().Wall(), p.env.Clock().Now()
		_ = w.Wait(nil, began+wait) // a timeout is what it is for
		passed := p.env.Clock().Now() - began
		worst = max(worst, passed-wait)
		jump = max(jump, (p.env.Clock().Wall().Round(0).Sub(wall.Round(0)) - passed).Abs())
	}
	f := finding{
		What: "clock", Value: fmt.Sprintf("wakes at most %v late, wall clock within %v", worst.Round(time.Microsecond), jump.Round(time.Microsecond)),
		OK: worst < slowSync && jump < slowSync,
	}
	if !f.OK {
		f.Do = "the machine is overloaded, or its clock is being set: elections may come without need"
	}
	return f
}
