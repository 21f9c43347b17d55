package check

import (
	"fmt"
	"io"
	"math"
	"strconv"

	"github.com/anishathalye/porcupine"
)

// A Verdict is what a judge of a whole history found.
type Verdict struct {
	Judged  int   // calls that it looked at
	Unknown int   // parts of the history that its time did not suffice for
	Broken  error // nil: all that was judged is explained

	// Draw writes a page, which needs nothing but itself, of the calls that nothing explains. nil: there are none.
	Draw func(w io.Writer) error
}

// drawKey draws porcupine's picture of the calls on one key: the longest orders that explain some of them, and in each
// the calls that cannot come next.
func drawKey(ops []porcupine.Operation) func(w io.Writer) error {
	return func(w io.Writer) error {
		last := int64(0)
		for _, op := range ops {
			if last = max(last, op.Call); op.Return != math.MaxInt64 {
				last = max(last, op.Return)
			}
		}
		shown := make([]porcupine.Operation, len(ops))
		for i, op := range ops {
			op.Return = min(op.Return, last+1) // those without an answer end when the history does
			shown[i] = op
		}
		_, info := porcupine.CheckOperationsVerbose(keyModel, shown, judgeTime)
		return porcupine.Visualize(keyModel, info, w)
	}
}

// describe is a call on the picture.
func (s keyStep) describe(out keyAnswer) string {
	answer := "?"
	switch {
	case !out.known:
	case s.write && s.expect == nil:
		answer = "done"
	case s.write || s.erase:
		answer = strconv.FormatBool(out.done)
	default:
		answer = brief(out.value)
	}
	switch {
	case s.expect != nil:
		return fmt.Sprintf("if %s put %s → %s", brief(*s.expect), brief(s.value), answer)
	case s.write:
		return fmt.Sprintf("put %s → %s", brief(s.value), answer)
	case s.erase:
		return "delete → " + answer
	}
	return "get → " + answer
}

// brief is a value on the picture: values begin with who wrote them.
func brief(value string) string {
	switch {
	case value == "":
		return "nothing"
	case len(value) > 16:
		return fmt.Sprintf("%.16q… (%d bytes)", value, len(value))
	}
	return strconv.Quote(value)
}
