package cli

import (
	"errors"
	"fmt"
	"io/fs"
	"math"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/lockstep-rsm/lockstep/cli/bench"
)

func (p *Program) bench() *cobra.Command {
	plan := bench.Plan{Version: p.Version}
	var out, page string
	c := &cobra.Command{
		Use: "bench", Short: "Measure this machine and the engine on it, with the floor beside it", Args: exactly(0),
		Long: `Measure what this machine's disk and network take alone, which gives the floor: the least that a write and a read can take.
Then run three replicas in this process, over loopback, with clients that each have one operation outstanding, and print what
they reached. It takes some 25 seconds with the default flags and removes what it wrote.`,
	}
	f := c.Flags()
	f.StringVar(&plan.Dir, "dir", ".", "a directory on the disk to be measured")
	f.StringSliceVar(&plan.Ops, "ops", []string{"write", "read"}, "what to measure: write, read")
	f.IntSliceVar(&plan.Clients, "clients", []int{1, 64, 1024}, "clients, each a row")
	f.IntSliceVar(&plan.Sizes, "sizes", []int{16, 1024}, "bytes of a command, each a row of writes")
	f.DurationVar(&plan.Duration, "duration", 2*time.Second, "of a row's measured time")
	f.BoolVar(&plan.Fdatasync, "fdatasync", false, "write the log through the page cache and sync it, instead of directly")
	f.StringVar(&out, "out", "", "file to write the report to, as JSON, for compare")
	f.StringVar(&page, "html", "", "file to write a page with plots to")
	c.RunE = func(c *cobra.Command, _ []string) error {
		if err := plan.Check(); err != nil {
			return usage(fmt.Errorf("%w\nSee lockstep bench --help", err))
		}
		for _, file := range [][2]string{{"report", out}, {"page", page}} {
			if err := writable(file[1]); err != nil {
				return fmt.Errorf("write %s: %w", file[0], err)
			}
		}
		plan.Env = p.env
		plan.Progress = func(row string) {
			if isTerminal(p.Err) {
				fmt.Fprintf(p.Err, "measuring %s\n", row)
			}
		}
		r, err := bench.Run(c.Context(), plan)
		if err != nil {
			return err
		}
		if err := p.keepReport(r, out, page); err != nil {
			return err
		}
		if p.output == "json" {
			return p.json(r)
		}
		p.printReport(r)
		return nil
	}
	c.AddCommand(p.compare())
	return c
}

// writable says why a file could not be written at the end, before anything is measured for it. It leaves nothing behind.
func writable(name string) error {
	if name == "" {
		return nil
	}
	f, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if err == nil {
		return errors.Join(f.Close(), os.Remove(name))
	}
	if errors.Is(err, fs.ErrExist) {
		if f, err = os.OpenFile(name, os.O_WRONLY, 0); err == nil {
			return f.Close()
		}
	}
	return err
}

func (p *Program) keepReport(r *bench.Report, out, page string) error {
	if out != "" {
		if err := r.Save(out); err != nil {
			return err
		}
	}
	if page == "" {
		return nil
	}
	f, err := os.Create(page)
	if err != nil {
		return fmt.Errorf("write page: %w", err)
	}
	if err := r.Page(f); err != nil {
		f.Close()
		return fmt.Errorf("write page: %w", err)
	}
	return f.Close()
}

func (p *Program) printReport(r *bench.Report) {
	m := &r.Machine
	fmt.Fprintf(p.Out, "machine    %s, %d cores, %s\n", m.System, m.Cores, m.Go)
	fmt.Fprintf(p.Out, "sync       4 KiB, three files at once: direct %s (p99 %s), fdatasync %s (p99 %s)\n",
		bench.Micros(m.Direct.P50), bench.Micros(m.Direct.P99), bench.Micros(m.Fdatasync.P50), bench.Micros(m.Fdatasync.P99))
	fmt.Fprintf(p.Out, "network    round trip of 128 B over loopback: %s (p99 %s)\n", bench.Micros(m.RoundTrip.P50), bench.Micros(m.RoundTrip.P99))
	fmt.Fprintf(p.Out, "floor      a write %s: round trip and sync (log: %s); a read %s: round trip\n\n", bench.Micros(r.Floor.Write), r.Log, bench.Micros(r.Floor.Read))
	rows := [][]string{{"ROW", "OP/S", "P50", "P90", "P99", "P99.9", "MAX", "P50÷FLOOR", "CPU/OP", "ALLOCS/OP", "ERRORS", "10 µs … 1 s"}}
	for i := range r.Rows {
		x := &r.Rows[i]
		rows = append(rows, []string{
			x.Name(), bench.Count(x.Rate), bench.Micros(x.P50), bench.Micros(x.P90), bench.Micros(x.P99), bench.Micros(x.P999), bench.Micros(x.Max),
			bench.Ratio(x.TimesFloor), bench.Micros(x.CPU), fmt.Sprintf("%.1f", x.Allocs), fmt.Sprint(x.Errors), sketch(x.Histogram),
		})
	}
	p.table(rows)
}

// sketch draws a histogram in a line: four steps in each decade from 10 µs to 1 s.
func sketch(buckets []bench.Bucket) string {
	const perDecade, decades = 4, 5
	var counts [perDecade * decades]uint64
	most := uint64(1)
	for _, b := range buckets {
		at := int(math.Ceil(math.Log10(b.UpToMicros/10)*perDecade-1e-9)) - 1
		n := &counts[min(max(at, 0), len(counts)-1)]
		*n += b.Count
		most = max(most, *n)
	}
	bars := []rune("▁▂▃▄▅▆▇█")
	var s strings.Builder
	for _, n := range counts {
		if n == 0 {
			s.WriteRune('·')
			continue
		}
		s.WriteRune(bars[int(n*uint64(len(bars)-1)/most)])
	}
	return s.String()
}

func (p *Program) compare() *cobra.Command {
	var tolerance float64
	c := &cobra.Command{
		Use: "compare FIRST SECOND", Short: "Say what moved between two reports of bench --out", Args: exactly(2),
		RunE: func(_ *cobra.Command, args []string) error {
			if tolerance < 0 {
				return usage(errors.New("--tolerance is below 0. It is a share, such as 0.1"))
			}
			first, err := bench.Load(args[0])
			if err != nil {
				return err
			}
			second, err := bench.Load(args[1])
			if err != nil {
				return err
			}
			d := bench.Compare(first, second, tolerance)
			if p.output == "json" {
				return p.json(d)
			}
			p.printComparison(&d)
			return nil
		},
	}
	c.Flags().Float64Var(&tolerance, "tolerance", 0.1, "a change up to this share is none")
	return c
}

func (p *Program) printComparison(c *bench.Comparison) {
	fmt.Fprintf(p.Out, "floor      a write %.2f times what it was, a read %.2f\n", c.Floor.Write, c.Floor.Read)
	if c.Machine != "" {
		fmt.Fprintf(p.Out, "look       %s\n", c.Machine)
	}
	fmt.Fprintln(p.Out)
	rows := [][]string{{"ROW, SECOND ÷ FIRST", "OP/S", "P50", "P99", "CPU/OP", "MOVED"}}
	for _, r := range c.Changes {
		rows = append(rows, []string{r.Row, bench.Ratio(r.Rate), bench.Ratio(r.P50), bench.Ratio(r.P99), bench.Ratio(r.CPU), r.Moved})
	}
	p.table(rows)
	for _, name := range c.Only {
		fmt.Fprintf(p.Out, "only in %s\n", name)
	}
}
