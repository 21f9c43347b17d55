package sim

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

// A Recording is a whole run: the seed, which draws the cluster and every latency, and the decisions.
// The same Recording on the same build gives the same trace. It is a file under testdata/sim, which
// Run plays first at every run.
type Recording struct {
	Test      string        // whose options it is played with: a test's name, or a load's of the command line
	Seed      uint64        // of everything that is no decision
	Hosts     int           // in the cluster
	Clients   int           // at once
	Length    time.Duration // of simulated time before the healing
	Decisions []*Decision   // by time
	Notes     []string      // why it was kept; said in comments, and no part of the run
}

// recordingHead is the first line of a Recording's text, with the version of what follows.
const recordingHead = "lockstep simulation 1"

// MarshalText is the Recording as its file has it.
func (r *Recording) MarshalText() ([]byte, error) {
	var b bytes.Buffer
	fmt.Fprintln(&b, recordingHead)
	for _, note := range r.Notes {
		fmt.Fprintln(&b, "#", strings.ReplaceAll(strings.TrimSpace(note), "\n", "\n#   "))
	}
	fmt.Fprintf(&b, "test %s\nseed %d\nhosts %d\nclients %d\nlength %v\n", r.Test, r.Seed, r.Hosts, r.Clients, r.Length)
	for _, d := range r.Decisions {
		fmt.Fprintln(&b, d)
	}
	return b.Bytes(), nil
}

// UnmarshalText reads what MarshalText wrote; the notes are not read. An error names the line.
func (r *Recording) UnmarshalText(text []byte) error {
	*r = Recording{}
	lines := bufio.NewScanner(bytes.NewReader(text))
	n := 0
	for lines.Scan() {
		n++
		if err := r.line(n, strings.TrimSpace(lines.Text())); err != nil {
			return fmt.Errorf("line %d: %w", n, err)
		}
	}
	if err := lines.Err(); err != nil {
		return fmt.Errorf("line %d: %w", n+1, err)
	}
	if n == 0 || r.Hosts < 1 || r.Hosts > maxHosts || r.Clients < 0 || r.Clients > maxClients || r.Length < 0 {
		return fmt.Errorf("%d hosts, %d clients, %v of time: there are 1 to %d hosts, and at most %d clients", r.Hosts, r.Clients, r.Length, maxHosts, maxClients)
	}
	return r.check()
}

// What a Recording may ask for.
const (
	maxHosts   = 9
	maxClients = 1000
)

func (r *Recording) line(n int, line string) (err error) {
	if n == 1 {
		if line != recordingHead {
			return fmt.Errorf("this is no simulation: it begins with %q, not %q", line, recordingHead)
		}
		return nil
	}
	word, rest, _ := strings.Cut(line, " ")
	switch {
	case line == "", strings.HasPrefix(line, "#"):
	case word == "test":
		r.Test = rest
	case word == "seed":
		r.Seed, err = strconv.ParseUint(rest, 10, 64)
	case word == "hosts":
		err = readInt(&r.Hosts, rest)
	case word == "clients":
		err = readInt(&r.Clients, rest)
	case word == "length":
		err = readSpan(&r.Length, rest)
	default:
		var d *Decision
		if d, err = parseDecision(line); err == nil {
			r.Decisions = append(r.Decisions, d)
		}
	}
	return err
}

// check refuses decisions about hosts that are not there, and those out of order.
func (r *Recording) check() error {
	last := time.Duration(0)
	for _, d := range r.Decisions {
		hosts := slices.Clone(d.Hosts)
		for _, l := range d.Links {
			hosts = append(hosts, l[0], l[1])
		}
		for _, h := range hosts {
			if h < 0 || h >= r.Hosts {
				return fmt.Errorf("%v: there is no host %d", d, h)
			}
		}
		if d.Verb == verbCall && len(d.Hosts) != 1 {
			return fmt.Errorf("%v: a call goes to one host", d)
		}
		if d.At < last {
			return fmt.Errorf("%v: comes after %v", d, last)
		}
		last = d.At
	}
	return nil
}

// Name is the file's: eight digits of the text's hash, notes left out.
func (r *Recording) Name() string {
	bare := *r
	bare.Notes = nil
	text, _ := bare.MarshalText()
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:4])
}

// plan is a Recording as a run plays it.
type plan struct {
	faults   []*Decision
	operator []*Decision
	core     *Decision
	calls    map[int][]*Decision // by client, in the order of its calls; looked up, never iterated
}

func newPlan(rec *Recording) *plan {
	p := &plan{calls: map[int][]*Decision{}}
	for _, d := range rec.Decisions {
		switch {
		case d.Verb == verbCall:
			p.calls[d.Client] = append(p.calls[d.Client], d)
		case d.Verb == verbCore:
			p.core = d
		case d.ofOperator():
			p.operator = append(p.operator, d)
		default:
			p.faults = append(p.faults, d)
		}
	}
	return p
}
