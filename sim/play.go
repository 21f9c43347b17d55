package sim

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"time"

	"github.com/lockstep-rsm/lockstep/sim/check"
	"github.com/lockstep-rsm/lockstep/sim/world"
)

// Result is what one seed's simulation came to.
type Result struct {
	Seed   uint64
	Hash   uint64        // over all events and bytes
	Events uint64        // of the scheduler
	Time   time.Duration // simulated
	Hosts  int
	Calls  int      // answered
	Failed int      // known to be in no log
	Open   int      // of which nobody knows
	Faults []Count  // injected, by kind
	Probes []Count  // situations met, each by its name, in a fixed order
	Broken []string // promises, the first first; none: all is well

	Judged      int                     // calls that Options.Judge looked at
	Unknown     int                     // parts of the history that its time did not suffice for
	Unexplained func(w io.Writer) error // draws the calls that it found no explanation for, as a page. nil: there are none

	Recording *Recording // all that was decided

	kind    string        // of the first broken promise
	broke   time.Duration // when
	differs *check.Difference
}

// Count is how often something happened.
type Count struct {
	Name string
	N    uint64
}

// ErrBroken says that a simulation broke a promise of the engine, or of its own invariant.
var ErrBroken = errors.New("promise broken")

// Play plays one seed twice, and compares: one seed gives one trace. With Options.Trace or HTML it
// plays once. The error says what went wrong; the Result is valid with it.
func Play(seed uint64, o Options) (Result, error) {
	o.fill()
	first, err := play(seed, o, nil)
	if err != nil || o.once() {
		return first, err
	}
	second, err := play(seed, o, nil)
	if err != nil {
		return second, fmt.Errorf("second run: %w", err)
	}
	if first.Hash != second.Hash || first.Events != second.Events {
		return first, fmt.Errorf("%w: seed %d gave hash %016x after %d events, then %016x after %d: something decides by a map's order, the real clock or a goroutine",
			ErrBroken, seed, first.Hash, first.Events, second.Hash, second.Events)
	}
	return first, nil
}

// Replay plays a Recording twice, and compares; once with Options.Trace or HTML. The Options are those of its test.
func Replay(rec *Recording, o Options) (Result, error) {
	o.fill()
	first, err := play(rec.Seed, o, rec)
	if err != nil || o.once() {
		return first, err
	}
	second, err := play(rec.Seed, o, rec)
	if err == nil && (first.Hash != second.Hash || first.Events != second.Events) {
		err = fmt.Errorf("%w: recording %s gave hash %016x after %d events, then %016x after %d", ErrBroken, rec.Name(), first.Hash, first.Events, second.Hash, second.Events)
	}
	return second, err
}

// once says whether a run is to be looked at, and not to be compared.
func (o *Options) once() bool { return o.Trace != nil || o.HTML != nil }

// play plays one seed once, with decisions that are drawn or, if there is a Recording, told.
func play(seed uint64, o Options, rec *Recording) (result Result, err error) {
	r := newRun(seed, o, rec)
	defer r.w.Close()
	defer func() {
		if r.timeline != nil {
			r.timeline.finish(r)
			if werr := r.timeline.draw(o.HTML); werr != nil && err == nil {
				err = fmt.Errorf("draw the timeline: %w", werr)
			}
		}
	}()
	defer func() {
		if p := recover(); p != nil {
			r.breaks(panicKind(p), "%v", p)
			result, err = r.result(), r.err()
		}
	}()
	r.w.Go(world.Driver, "simulation", r.main)
	r.w.Run(o.Length + limit)
	if !r.done && len(r.violations) == 0 {
		r.broken("the simulation did not end within %v after healing; parked:\n%s", limit, r.w.Dump())
	}
	if len(r.violations) > 0 && r.o.HTML != nil {
		r.judge() // what broke may be a call's answer, and that can be drawn
	}
	return r.result(), r.err()
}

// judge asks the independent judge of the whole history, once.
func (r *run) judge() {
	if r.o.Judge == nil || r.verdict != nil {
		return
	}
	v := r.o.Judge(r.calls.All)
	if r.verdict = &v; v.Broken != nil {
		r.broken("judge: %v", v.Broken)
	}
}

// DrawUnexplained writes the picture of the calls that no order explains, if there is one, into a file beside the
// timeline, and returns the file's name. Empty: there is none.
func (r *Result) DrawUnexplained(timeline string) (name string, err error) {
	if r.Unexplained == nil {
		return "", nil
	}
	name = strings.TrimSuffix(timeline, filepath.Ext(timeline)) + ".calls.html"
	f, err := os.Create(name)
	if err != nil {
		return "", fmt.Errorf("draw the unexplained calls: %w", err)
	}
	if err := errors.Join(r.Unexplained(f), f.Close()); err != nil {
		return "", fmt.Errorf("draw the unexplained calls: %w", err)
	}
	return name, nil
}

// panicKind is what panics at one place have in common: the number of the invariant that was asserted.
func panicKind(p any) string {
	return "panic " + asserted.FindString(fmt.Sprint(p))
}

var asserted = regexp.MustCompile(`\b[ARWHS]\d{1,2}:`)

// limit is by how much a simulation may overrun its length.
const limit = 10 * time.Minute

func (r *run) err() error {
	if len(r.violations) == 0 {
		return nil
	}
	more := ""
	if n := len(r.violations) - 1; n > 0 {
		more = fmt.Sprintf(" (and %d more)", n)
	}
	return fmt.Errorf("%w: seed %d: %s%s", ErrBroken, r.seed, r.violations[0], more)
}
