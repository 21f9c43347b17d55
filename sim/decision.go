package sim

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/lockstep-rsm/lockstep/sim/world"
)

// A Decision is one choice of a run before the healing: a fault with its time, victims and end, a
// client's call with the host it goes to, or what an operator asks for. A run is its seed and its
// decisions: played again they give the same trace, and any part of them is a run, too.
type Decision struct {
	At       time.Duration   // of the world
	Verb     string          // one of those of verbs, call or rest
	Hosts    []int           // whom it concerns
	For      []time.Duration // until it ends: one for all hosts, or one for each
	Links    [][2]int        // from, to
	Reset    bool            // of a cut: connections on the first link break at once; of members: who is not to vote learns
	Amount   int64           // of what the verb counts: times slower, bytes left, parts in a million
	By       time.Duration   // how far a calendar jumps
	Client   int             // whose call it is
	Call     int             // which of the client's, from 1
	Messages world.MessageFaults
}

// Verbs that are not injected: a call is its client's; rest is a moment at which nothing was found to do, or
// no time was left to do it in, idle the same of the operator. A run that leaves them out is the same but for
// the number of its events.
const (
	verbCall = "call"
	verbRest = "rest"
	verbIdle = "idle"
	verbCore = "core" // at the healing: only these hosts are healed at first
)

// ofOperator says whether it is no fault, but something that operators do.
func (d *Decision) ofOperator() bool {
	return d.Verb == verbIdle || d.Verb == "transfer" || d.Verb == "snapshot" || d.Verb == "destroy"
}

// field is how one part of a decision stands in its line: key=value, left out when there is nothing to say.
type field struct {
	key  string
	show func(d *Decision) string
	read func(d *Decision, text string) error
}

var fields = []field{
	{"client", func(d *Decision) string { return number(int64(d.Client), d.Verb == verbCall) }, func(d *Decision, s string) error { return readInt(&d.Client, s) }},
	{"call", func(d *Decision) string { return number(int64(d.Call), d.Verb == verbCall) }, func(d *Decision, s string) error { return readInt(&d.Call, s) }},
	{"hosts", func(d *Decision) string { return list(d.Hosts, strconv.Itoa) }, func(d *Decision, s string) error { return readList(&d.Hosts, s, strconv.Atoi) }},
	{"links", func(d *Decision) string { return list(d.Links, showLink) }, func(d *Decision, s string) error { return readList(&d.Links, s, readLink) }},
	{
		"reset", func(d *Decision) string { return map[bool]string{true: "yes"}[d.Reset] },
		func(d *Decision, s string) error {
			if d.Reset = s == "yes"; !d.Reset {
				return fmt.Errorf("reset is %q, not yes", s)
			}
			return nil
		},
	},
	{"amount", func(d *Decision) string { return number(d.Amount, false) }, func(d *Decision, s string) (err error) {
		d.Amount, err = strconv.ParseInt(s, 10, 64)
		return err
	}},
	{"by", func(d *Decision) string { return span(d.By) }, func(d *Decision, s string) error { return readSpan(&d.By, s) }},
	{"drop", func(d *Decision) string { return chance(d.Messages.Drop) }, func(d *Decision, s string) error { return readChance(&d.Messages.Drop, s) }},
	{"double", func(d *Decision) string { return chance(d.Messages.Double) }, func(d *Decision, s string) error { return readChance(&d.Messages.Double, s) }},
	{"reorder", func(d *Decision) string { return chance(d.Messages.Reorder) }, func(d *Decision, s string) error { return readChance(&d.Messages.Reorder, s) }},
	{"delay", func(d *Decision) string { return chance(d.Messages.Delay) }, func(d *Decision, s string) error { return readChance(&d.Messages.Delay, s) }},
	{"most", func(d *Decision) string { return span(d.Messages.MaxDelay) }, func(d *Decision, s string) error { return readSpan(&d.Messages.MaxDelay, s) }},
	{"for", func(d *Decision) string { return list(d.For, time.Duration.String) }, func(d *Decision, s string) error { return readList(&d.For, s, time.ParseDuration) }},
}

// String is the decision's line: time, verb, key=value.
func (d *Decision) String() string {
	parts := []string{d.At.String(), d.Verb}
	for _, f := range fields {
		if text := f.show(d); text != "" {
			parts = append(parts, f.key+"="+text)
		}
	}
	return strings.Join(parts, " ")
}

// parseDecision reads a line that String wrote.
func parseDecision(line string) (*Decision, error) {
	words := strings.Fields(line)
	if len(words) < 2 {
		return nil, fmt.Errorf("a decision is a time, a verb and key=value, not %q", line)
	}
	d := &Decision{Verb: words[1]}
	if err := readSpan(&d.At, words[0]); err != nil {
		return nil, err
	}
	if verbs[d.Verb] == nil && !slices.Contains([]string{verbCall, verbRest, verbIdle, verbCore}, d.Verb) {
		return nil, fmt.Errorf("unknown verb %q", d.Verb)
	}
	for _, word := range words[2:] {
		key, text, _ := strings.Cut(word, "=")
		i := slices.IndexFunc(fields, func(f field) bool { return f.key == key })
		if i < 0 {
			return nil, fmt.Errorf("unknown key %q", key)
		}
		if err := fields[i].read(d, text); err != nil {
			return nil, fmt.Errorf("%s: %w", key, err)
		}
	}
	return d, nil
}

// lasts is for how long the decision stands on its i-th host.
func (d *Decision) lasts(i int) time.Duration {
	if len(d.For) == 0 {
		return 0
	}
	return d.For[min(i, len(d.For)-1)]
}

func number(n int64, always bool) string {
	if n == 0 && !always {
		return ""
	}
	return strconv.FormatInt(n, 10)
}

func span(d time.Duration) string {
	if d == 0 {
		return ""
	}
	return d.String()
}

func chance(p float64) string {
	if p == 0 {
		return ""
	}
	return strconv.FormatFloat(p, 'g', -1, 64)
}

func showLink(l [2]int) string { return fmt.Sprintf("%d>%d", l[0], l[1]) }

func list[T any](items []T, show func(T) string) string {
	texts := make([]string, len(items))
	for i, x := range items {
		texts[i] = show(x)
	}
	return strings.Join(texts, ",")
}

func readInt(to *int, s string) (err error) {
	*to, err = strconv.Atoi(s)
	return err
}

func readSpan(to *time.Duration, s string) (err error) {
	*to, err = time.ParseDuration(s)
	return err
}

func readChance(to *float64, s string) (err error) {
	if *to, err = strconv.ParseFloat(s, 64); err == nil && !(*to >= 0 && *to <= 1) {
		err = fmt.Errorf("a chance is from 0 to 1, not %v", *to)
	}
	return err
}

func readLink(s string) (l [2]int, err error) {
	from, to, ok := strings.Cut(s, ">")
	if !ok {
		return l, errors.New("a link is from>to")
	}
	if l[0], err = strconv.Atoi(from); err != nil {
		return l, err
	}
	l[1], err = strconv.Atoi(to)
	return l, err
}

func readList[T any](to *[]T, s string, read func(string) (T, error)) error {
	for _, text := range strings.Split(s, ",") {
		x, err := read(text)
		if err != nil {
			return err
		}
		*to = append(*to, x)
	}
	return nil
}
