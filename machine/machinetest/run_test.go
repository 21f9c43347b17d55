package machinetest_test

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/lockstep-rsm/lockstep/machine"
	"github.com/lockstep-rsm/lockstep/machine/machinetest"
)

// recorder is a testing.TB that remembers the failure instead of failing.
type recorder struct {
	testing.TB
	failed string
	logged string
}

type failure struct{}

func (r *recorder) Fatalf(format string, args ...any) {
	r.failed = fmt.Sprintf(format, args...)
	panic(failure{})
}

func (r *recorder) Logf(format string, args ...any) { r.logged += fmt.Sprintf(format, args...) + "\n" }

func (r *recorder) Helper() {}

func run(t *testing.T, kind machine.Kind, command, query func(*rand.Rand) []byte) (r *recorder) {
	t.Helper()
	r = &recorder{TB: t}
	defer func() {
		if p := recover(); p != nil && p != (failure{}) {
			panic(p)
		}
	}()
	machinetest.Run(r, kind, command, query)
	return r
}

func TestJournalWithoutAFaultPasses(t *testing.T) {
	if r := run(t, journalKind(""), journalCommand, journalQuery); r.failed != "" || r.logged != "" {
		t.Errorf("failed with %q, logged %q", r.failed, r.logged)
	}
}

func TestEveryRuleBites(t *testing.T) {
	for fault, rule := range map[string]string{
		"a Tick gets a reply":             "drawing the log",
		"garbage panics":                  "drawing the log",
		"a refusal is forgotten":          "drawing the log",
		"a result tells of the process":   "equal commands give equal results",
		"the digest tells of the process": "equal commands give equal results",
		"a result tells of the batch":     "batches may be cut anywhere",
		"Data is kept":                    "batches may be cut anywhere",
		"Save leaves out the deadline":    "a snapshot is the whole state",
		"Save leaves out a line":          "a View never changes",
		"Load adds to the old state":      "a snapshot is the whole state",
		"a View sees the running state":   "a View never changes",
		"Query cannot":                    "a snapshot is the whole state",
		"Load passes over an error":       "a failed Load leaves the old state",
		"Load spoils the old state":       "a failed Load leaves the old state",
		"Load panics":                     "a failed Load leaves the old state",
		"Save passes over an error":       "an error of the writer is returned by Save",
		"a View copies":                   "View costs O(1)",
		"a View takes time":               "View costs O(1)",
	} {
		t.Run(fault, func(t *testing.T) {
			r := run(t, journalKind(fault), journalCommand, journalQuery)
			if want := fmt.Sprintf("rule %q", rule); !strings.Contains(r.failed, want) {
				t.Errorf("it failed with %.300q, want %s", r.failed, want)
			}
		})
	}
}

func TestFloatsAndStatesThatDoNotGrowAreNoted(t *testing.T) {
	typed := machine.Define(
		func(s *struct{ Mean float64 }, c float64, _ *machine.Command) (float64, error) {
			s.Mean = c
			return c, nil
		},
		func(s *struct{ Mean float64 }, _ string) (float64, error) { return s.Mean, nil },
	)
	r := run(t, typed.Kind(),
		func(r *rand.Rand) []byte { return fmt.Append(nil, r.IntN(10)) },
		func(*rand.Rand) []byte { return nil })
	if r.failed != "" || !strings.Contains(r.logged, ".state.Mean is a floating-point number") || !strings.Contains(r.logged, "not judged") {
		t.Errorf("failed %q, logged %q", r.failed, r.logged)
	}
}
