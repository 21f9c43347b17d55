package sim

import (
	"bytes"
	_ "embed" // the page
	"encoding/json"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/lockstep-rsm/lockstep/env"
	"github.com/lockstep-rsm/lockstep/sim/check"
)

// A timeline is what the picture of a run shows. It listens to the world's trace for what happens to
// hosts and messages, and to the observer for what replicas do. Times are microseconds.
type timeline struct {
	Title     string     `json:"title"`
	Seed      uint64     `json:"seed"`
	End       int64      `json:"end"`
	Hosts     []*lane    `json:"hosts"`
	Decisions []tlFault  `json:"decisions"`
	Messages  [][4]int64 `json:"messages"` // time of arrival, from, to, bytes; none but the first mostMessages
	Lost      [][3]int64 `json:"lost"`     // time, from, to
	Calls     []tlCall   `json:"calls"`
	Events    []tlEvent  `json:"events"`

	text []byte // of a line that is not whole yet
}

// mostMessages bounds the page: some 20 bytes each.
const mostMessages = 300_000

// A lane is one host: what it was, over time.
type lane struct {
	Up      [][2]int64 `json:"up"`      // from, until
	Paused  [][2]int64 `json:"paused"`  // from, until
	Terms   [][2]int64 `json:"terms"`   // time, term of group 1
	Leads   [][2]int64 `json:"leads"`   // from, until: group 1
	Commits [][2]int64 `json:"commits"` // time, index
}

type (
	tlFault struct {
		At    int64  `json:"at"`
		Until int64  `json:"until"`
		Hosts []int  `json:"hosts"`
		Text  string `json:"text"`
	}
	tlCall struct {
		Client int    `json:"client"`
		Host   int    `json:"host"`
		Began  int64  `json:"began"`
		Ended  int64  `json:"ended"`
		End    string `json:"outcome"`
		Query  bool   `json:"query"`
		Text   string `json:"text"`
	}
	tlEvent struct {
		At   int64  `json:"at"`
		Host int    `json:"host"` // -1: of none
		Kind string `json:"kind"` // its colour: leader, snapshot, life, disk, broken, other
		Text string `json:"text"`
	}
)

func newTimeline(hosts int) *timeline {
	t := &timeline{}
	for range hosts {
		t.Hosts = append(t.Hosts, &lane{Up: [][2]int64{{0, -1}}})
	}
	return t
}

func micros(d time.Duration) int64 { return int64(d / time.Microsecond) }

// open begins a span, unless one is open; close ends it.
func openSpan(spans *[][2]int64, at int64) {
	if n := len(*spans); n == 0 || (*spans)[n-1][1] >= 0 {
		*spans = append(*spans, [2]int64{at, -1})
	}
}

func closeSpan(spans *[][2]int64, at int64) {
	if n := len(*spans); n > 0 && (*spans)[n-1][1] < 0 {
		(*spans)[n-1][1] = at
	}
}

// Write takes the world's trace.
func (t *timeline) Write(p []byte) (int, error) {
	t.text = append(t.text, p...)
	for {
		line, rest, whole := bytes.Cut(t.text, []byte("\n"))
		if !whole {
			return len(p), nil
		}
		t.line(string(line))
		t.text = append(t.text[:0], rest...)
	}
}

// line takes "1.234567 h0 event k=v …".
func (t *timeline) line(line string) {
	words := strings.SplitN(line, " ", 4)
	if len(words) < 3 {
		return
	}
	seconds, err := strconv.ParseFloat(words[0], 64)
	if err != nil {
		return
	}
	host, err := strconv.Atoi(strings.TrimPrefix(words[1], "h"))
	if err != nil || host < 0 || host >= len(t.Hosts) {
		return
	}
	at, rest := int64(seconds*1e6+0.5), ""
	if len(words) > 3 {
		rest = words[3]
	}
	l := t.Hosts[host]
	switch words[2] {
	case "arrive":
		if len(t.Messages) < mostMessages {
			t.Messages = append(t.Messages, [4]int64{at, value(rest, "from=h"), int64(host), value(rest, "n=")})
		}
		return
	case "lost":
		t.Lost = append(t.Lost, [3]int64{at, int64(host), value(rest, "to=h")})
		return
	case "start":
		openSpan(&l.Up, at)
	case "kill", "power-off":
		closeSpan(&l.Up, at)
		closeSpan(&l.Paused, at)
		closeSpan(&l.Leads, at)
	case "pause":
		openSpan(&l.Paused, at)
	case "resume":
		closeSpan(&l.Paused, at)
	case "cut", "heal", "reset", "rot", "spoil", "drift", "jump-wall":
	default:
		return
	}
	t.Events = append(t.Events, tlEvent{at, host, "life", words[2] + " " + rest})
}

// value is the number behind key in text; -1: there is none.
func value(text, key string) int64 {
	_, rest, ok := strings.Cut(text, key)
	if !ok {
		return -1
	}
	digits, _, _ := strings.Cut(rest, " ")
	n, err := strconv.ParseInt(digits, 10, 64)
	if err != nil {
		return -1
	}
	return n
}

// shown are events of replicas that stand in the list, by their colours.
var shown = map[env.EventKind]struct{ kind, text string }{
	env.LeaderElected: {"leader", "leads term %[1]d"}, env.SteppedDown: {"leader", "leads term %[1]d no more"},
	env.LogTruncated: {"other", "log truncated at %[2]d"}, env.SnapshotSealed: {"snapshot", "snapshot %[2]d sealed"},
	env.SnapshotInstalled: {"snapshot", "snapshot %[2]d installed"}, env.LogRecovered: {"life", "recovered through entry %[2]d, term %[1]d"},
	env.ReplicaStopped: {"broken", "replica stopped"}, env.ReplicaDiverged: {"broken", "replica diverged"}, env.ReplicaUnfit: {"broken", "machine out of service"},
	env.ReplicaFit: {"", "machine made anew"},
	env.LogFailed:  {"disk", "log failed"}, env.MarkReported: {"other", "mark %[2]d reported"},
}

// observe takes an event of a replica of group 1.
func (t *timeline) observe(now time.Duration, host int, e *env.Event) {
	if e.Group != uint64(groupID) && e.Kind != env.LogFailed {
		return
	}
	at, l := micros(now), t.Hosts[host]
	switch e.Kind {
	case env.TermChanged, env.LogRecovered:
		l.Terms = append(l.Terms, [2]int64{at, int64(e.Term)})
	case env.LeaderElected:
		l.Terms = append(l.Terms, [2]int64{at, int64(e.Term)})
		openSpan(&l.Leads, at)
	case env.SteppedDown, env.ReplicaStopped:
		closeSpan(&l.Leads, at)
	case env.CommitAdvanced:
		l.Commits = append(l.Commits, [2]int64{at, int64(e.Index)})
	}
	if s, ok := shown[e.Kind]; ok {
		text := strings.Split(fmt.Sprintf(s.text, e.Term, e.Index), "%!(EXTRA")[0]
		if e.Text != "" {
			text += ": " + e.Text
		}
		t.Events = append(t.Events, tlEvent{at, host, s.kind, text})
	}
}

// finish takes what is known at the end.
func (t *timeline) finish(r *run) {
	t.Title, t.Seed, t.End = r.o.Name, r.seed, micros(r.w.Now())
	for _, l := range t.Hosts {
		closeSpan(&l.Up, t.End)
		closeSpan(&l.Paused, t.End)
		closeSpan(&l.Leads, t.End)
	}
	for _, d := range r.recording.Decisions {
		if d.Verb == verbCall || d.Verb == verbRest || d.Verb == verbIdle {
			continue
		}
		until := d.At
		for _, f := range d.For {
			until = max(until, d.At+f)
		}
		hosts := append([]int{}, d.Hosts...)
		for _, l := range d.Links {
			hosts = append(hosts, l[0], l[1])
		}
		t.Decisions = append(t.Decisions, tlFault{micros(d.At), micros(until), hosts, d.String()})
	}
	for _, c := range r.calls.All {
		t.Calls = append(t.Calls, tlCall{c.Client, c.Host, micros(c.Began), micros(c.Ended), outcomes[c.Outcome], c.Query, callText(c)})
	}
	for _, v := range r.violations {
		t.Events = append(t.Events, tlEvent{micros(v.at), -1, "broken", v.text})
	}
}

var outcomes = map[check.Outcome]string{check.Open: "open", check.Answered: "answered", check.Never: "never", check.Maybe: "maybe"}

func callText(c *check.Call) string {
	what := "propose"
	if c.Query {
		what = "read"
	}
	text := fmt.Sprintf("%s %.80q", what, c.Input)
	switch {
	case c.Outcome == check.Answered && c.Refusal != nil:
		text += fmt.Sprintf(" at %d.%d: refused %.80q", c.Index, c.Ordinal, c.Refusal.Text)
	case c.Outcome == check.Answered:
		text += fmt.Sprintf(" at %d.%d: %.80q", c.Index, c.Ordinal, c.Output)
	case c.Why != nil:
		text += ": " + c.Why.Error()
	}
	return text
}

//go:embed timeline.html
var timelinePage string

// draw writes the page: it needs nothing but itself.
func (t *timeline) draw(w io.Writer) error {
	data, err := json.Marshal(t) // escapes what would end a script
	if err != nil {
		return err
	}
	_, err = io.WriteString(w, strings.Replace(timelinePage, "/*DATA*/null", string(data), 1))
	return err
}
