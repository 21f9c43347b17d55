package sim

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/lockstep-rsm/lockstep/machine"
	"github.com/lockstep-rsm/lockstep/sim/check"
)

// A Failure is a broken promise as it is reported: what, where replicas first differed, the smallest
// run that shows it, and how that is played again.
type Failure struct {
	Err    error
	Seed   uint64
	Shrunk *Shrunk // nil: it was not tried, or the failure did not come again
	Hints  []string
	File   string // where the shrunk recording stands; empty: nowhere
}

// Examine shrinks the run of a failed Result for at most limit of real time, if limit is above zero, and
// writes what comes out of it into the folder dir, under the recording's Name.
func Examine(ctx context.Context, r Result, err error, o Options, limit time.Duration, dir string) Failure {
	f := Failure{Err: err, Seed: r.Seed}
	rec := r.Recording
	if limit > 0 && r.kind != "" {
		shrunk, serr := Shrink(ctx, rec, o, limit)
		if serr != nil {
			f.Hints = append(f.Hints, "the same decisions break nothing when they are played again: "+serr.Error())
			return f
		}
		f.Shrunk, rec = &shrunk, shrunk.Recording
		if f.File, serr = rec.Save(dir); serr != nil {
			f.Hints = append(f.Hints, serr.Error())
		}
	}
	if r.kind != "" {
		f.Hints = append(f.Hints, explain(rec, o)...)
	}
	return f
}

// Save writes the recording into the folder dir, which it makes, and returns the file's name.
func (r *Recording) Save(dir string) (string, error) {
	text, err := r.MarshalText()
	if err != nil {
		return "", err
	}
	if err := os.MkdirAll(dir, 0o777); err != nil {
		return "", fmt.Errorf("save a recording: %w", err)
	}
	name := filepath.Join(dir, r.Name())
	if err := os.WriteFile(name, text, 0o666); err != nil {
		return "", fmt.Errorf("save a recording: %w", err)
	}
	return name, nil
}

// Load reads a recording's file.
func Load(name string) (*Recording, error) {
	text, err := os.ReadFile(name)
	if err != nil {
		return nil, fmt.Errorf("load a recording: %w", err)
	}
	rec := &Recording{}
	if err := rec.UnmarshalText(text); err != nil {
		return nil, fmt.Errorf("load the recording %s: %w", name, err)
	}
	return rec, nil
}

// recordings are the names of the files in a folder, in order; none, if there is no such folder.
func recordings(dir string) (names []string) {
	entries, _ := os.ReadDir(dir)
	for _, e := range entries {
		if e.Type().IsRegular() {
			names = append(names, e.Name())
		}
	}
	slices.Sort(names)
	return names
}

// explain plays a failing recording once more, with an eye on every replica's state, and says what it saw.
func explain(rec *Recording, o Options) (hints []string) {
	o.fill()
	o.Trace, o.HTML, o.closely = nil, nil, true
	result, _ := play(rec.Seed, o, rec)
	d := result.differs
	if d == nil {
		return nil
	}
	hints = append(hints, describeDifference(d))
	if d.Loaded > 0 {
		hints = append(hints, fmt.Sprintf("host %d had loaded the snapshot at %d before: does Save write the whole state?", d.Host, d.Loaded))
	}
	return hints
}

func describeDifference(d *check.Difference) string {
	text := fmt.Sprintf("first differing command %d.%d %.200q: ", d.Index, d.Ordinal, d.Data)
	switch {
	case d.Since == 0:
		return text + fmt.Sprintf("host %d %s, the replay of the log %s", d.Host, said(d.Result), said(d.Replay))
	case d.Since < d.Index:
		return text + fmt.Sprintf("host %d has another state than the replay of the log, since a command from %d on", d.Host, d.Since)
	}
	return text + fmt.Sprintf("host %d has another state after it than the replay of the log; both %s", d.Host, said(d.Result))
}

func said(result []byte) string {
	data, no, err := machine.DecodeResult(result)
	switch {
	case err != nil:
		return err.Error()
	case no != nil:
		return fmt.Sprintf("refused %.200q", no.Text)
	}
	return fmt.Sprintf("replied %.200q", data)
}

// Text is the failure for a person; again is the command that plays it again, and picture the one that draws it.
func (f *Failure) Text(again, picture string) string {
	lines := []string{strings.TrimPrefix(f.Err.Error(), ErrBroken.Error()+": ")}
	lines = append(lines, f.Hints...)
	if s := f.Shrunk; s != nil {
		lines = append(lines, fmt.Sprintf("shrunk from %d decisions to %d in %.1f s, %d plays: %s",
			s.From, len(s.Recording.Decisions), s.Took.Seconds(), s.Plays, s.Recording.brief(few)))
	}
	lines = append(lines, "again: "+again)
	if picture != "" {
		lines = append(lines, "picture: "+picture)
	}
	return strings.Join(lines, "\n    ")
}

// brief lists the first decisions.
func (r *Recording) brief(most int) string {
	var texts []string
	for i, d := range r.Decisions {
		if i == most {
			texts = append(texts, fmt.Sprintf("… (%d more)", len(r.Decisions)-most))
			break
		}
		short := *d
		short.At = d.At.Round(time.Millisecond)
		texts = append(texts, short.String())
	}
	if texts == nil {
		return "nothing but the cluster's start"
	}
	return strings.Join(texts, ", ")
}
