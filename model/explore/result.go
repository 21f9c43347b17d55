package explore

import (
	"fmt"
	"io"
	"time"
)

// A Result is what one exploration found. Complete: everything within the bounds was visited and nothing
// broke. Bad is the property that broke, empty if none did, and Trace the way there.
type Result struct {
	States, Steps uint64
	Depth         int // steps from the first state to the farthest
	Complete      bool
	Bad           string
	Trace         []Taken
	Took          time.Duration
}

// Taken is one step of a trace: its label, and the state after it.
type Taken struct{ Label, After string }

// String says how much was visited, in one line.
func (r Result) String() string {
	s := fmt.Sprintf("%d states, %d steps, depth %d, %.1fs", r.States, r.Steps, r.Depth, r.Took.Seconds())
	if r.Bad == "" && !r.Complete {
		s += " (NOT complete: state limit)"
	}
	return s
}

// Explain writes the property that broke and the trace, for people; nothing if none broke.
func (r Result) Explain(w io.Writer) error {
	if r.Bad == "" {
		return nil
	}
	if _, err := fmt.Fprintln(w, "    =>", r.Bad); err != nil {
		return err
	}
	for i, t := range r.Trace {
		if _, err := fmt.Fprintf(w, "    %2d %-44s %s\n", i+1, t.Label, t.After); err != nil {
			return err
		}
	}
	return nil
}
