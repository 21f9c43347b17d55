package machine

import (
	"fmt"
	"path"
	"runtime"
	"strings"
)

// maxFrames bounds what PanicFrames tells.
const maxFrames = 8

// PanicFrames says where a panic came from, for those who call machines: the functions between it and the one
// whose deferred function calls this after it has recovered, the innermost first, eight at most. Equal panics
// give equal text: there are no addresses in it.
func PanicFrames() string {
	pcs := make([]uintptr, 64)
	frames := runtime.CallersFrames(pcs[:runtime.Callers(1, pcs)])
	var told []string
	guard, last, thrown := "", "", false
	for more := true; more && len(told) < maxFrames; {
		var f runtime.Frame
		f, more = frames.Next()
		switch {
		case f.Function == "runtime.gopanic" && !thrown:
			guard, _, _ = strings.Cut(last, ".func") // last is the deferred function
			thrown = true
		case !thrown || len(told) == 0 && strings.HasPrefix(f.Function, "runtime."): // an index out of range and the like
		case f.Function == guard:
			more = false
		default:
			told = append(told, fmt.Sprintf("%s %s:%d", path.Base(f.Function), path.Base(f.File), f.Line))
		}
		last = f.Function
	}
	return strings.Join(told, " ← ")
}
