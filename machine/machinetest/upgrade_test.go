package machinetest_test

import (
	"encoding/binary"
	"fmt"
	"io"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/lockstep-rsm/lockstep/machine"
	"github.com/lockstep-rsm/lockstep/machine/machinetest"
)

// dial is a machine of two versions: the first sums bytes; the second also counts commands, and answers with both. With a
// fault it breaks one rule of an upgrade.
type dial struct {
	fault      string
	version    machine.Version
	sum, count uint64
	shared     *uint64 // what Upgrade changes though Views have it
	noted      uint64  // in this process
}

func dialKind(newest machine.Version, fault string) machine.Kind {
	return machine.Kind{Newest: newest, New: func(p *machine.Place) (machine.StateMachine, error) {
		return &dial{fault: fault, version: p.Version, shared: new(uint64)}, nil
	}}
}

// acts is the version that shows.
func (d *dial) acts(fault string) machine.Version {
	if d.fault == fault {
		return 2
	}
	return d.version
}

func (d *dial) Apply(batch []machine.Command, out *machine.Results) error {
	for i := range batch {
		if batch[i].Tick {
			out.Reply(nil)
			continue
		}
		for _, b := range batch[i].Data {
			d.sum += uint64(b)
		}
		d.noted++
		if d.version > 1 {
			d.count++
		}
		if d.acts("it answers as the new one too early") > 1 {
			out.Reply(fmt.Append(nil, d.sum, d.count))
			continue
		}
		out.Reply(fmt.Append(nil, d.sum))
	}
	return nil
}

func (d *dial) Upgrade(v machine.Version) error {
	d.version = v
	d.sum *= 2
	switch d.fault {
	case "Upgrade tells of the process":
		process++
		d.sum += process
	case "Upgrade changes what a View shares":
		*d.shared = 1
	case "Upgrade forgets the version":
		d.version = 1
	case "Upgrade counts on what was not saved", "Upgrade counts on what only the new one saves":
		d.count = d.noted
	case "Upgrade panics":
		panic("planted")
	}
	return nil
}

func (d *dial) View() machine.View             { c := *d; return &c }
func (d *dial) Close() error                   { return nil }
func (d *dial) Deadline() (machine.Time, bool) { return 0, false }

func (d *dial) Digest() (machine.Digest, bool) {
	if d.acts("it digests as the new one too early") > 1 {
		return machine.Digest(d.sum<<20 + d.count + 1), true
	}
	return machine.Digest(d.sum), true
}

func (d *dial) Query(_ []byte, w io.Writer) error {
	_, err := fmt.Fprint(w, d.sum, d.count, *d.shared)
	return err
}

func (d *dial) Save(w *machine.Writer) error {
	b := binary.BigEndian.AppendUint64(nil, d.sum)
	switch d.fault {
	case "it saves more than the one before loads", "it loads only what it saves", "Upgrade counts on what only the new one saves":
		b = binary.BigEndian.AppendUint64(binary.BigEndian.AppendUint64(b, d.count), d.noted)
		_, err := w.Write(b)
		return err
	}
	if d.acts("it saves as the new one too early") > 1 && d.fault != "Save forgets what came with the upgrade" {
		b = binary.BigEndian.AppendUint64(b, d.count)
	}
	_, err := w.Write(b)
	return err
}

func (d *dial) Load(v machine.Version, r *machine.Reader) error {
	b, err := io.ReadAll(r)
	if err != nil {
		return err
	}
	if d.fault == "it loads as the new one too early" {
		v = 2
	}
	switch d.fault {
	case "it saves more than the one before loads", "it loads only what it saves", "Upgrade counts on what only the new one saves":
		if len(b) != 24 && (v > 1 || len(b) != 8 || d.fault == "it loads only what it saves") {
			return fmt.Errorf("%d bytes", len(b))
		}
		d.version, d.sum, d.count, d.noted = v, binary.BigEndian.Uint64(b), 0, 0
		if len(b) > 8 {
			d.count, d.noted = binary.BigEndian.Uint64(b[8:]), binary.BigEndian.Uint64(b[16:])
		}
		return nil
	case "it loads more than it knows":
		if len(b) < 8 || len(b)%8 != 0 {
			return fmt.Errorf("%d bytes", len(b))
		}
		b = b[:8]
	}
	if want := 8 * int(min(v, 2)); len(b) != want && d.fault != "Save forgets what came with the upgrade" {
		return fmt.Errorf("%d bytes, not %d", len(b), want)
	}
	if d.fault != "Load goes on as what it ran as" {
		d.version = v
	}
	d.sum, d.count = binary.BigEndian.Uint64(b), 0
	if len(b) > 8 {
		d.count = binary.BigEndian.Uint64(b[8:])
	}
	return nil
}

func dialCommand(r *rand.Rand) []byte { return binary.AppendUvarint(nil, 1+r.Uint64N(1000)) }

func dialQuery(*rand.Rand) []byte { return nil }

// upgraded plays both suites on a build with a fault, which follows one that has version 1 alone.
func upgraded(t *testing.T, fault string) (r *recorder) {
	t.Helper()
	if r = run(t, dialKind(2, fault), dialCommand, dialQuery); r.failed != "" {
		return r
	}
	r = &recorder{TB: t}
	defer func() {
		if p := recover(); p != nil && p != (failure{}) {
			panic(p)
		}
	}()
	former := ""
	if fault == "Upgrade counts on what only the new one saves" {
		former = "it loads more than it knows"
	}
	machinetest.RunUpgrade(r, dialKind(1, former), dialKind(2, fault), dialCommand, dialQuery)
	return r
}

func TestDialOfTwoVersionsPasses(t *testing.T) {
	if r := upgraded(t, ""); r.failed != "" {
		t.Errorf("failed with %q", r.failed)
	}
}

func TestEveryRuleOfUpgradesBites(t *testing.T) {
	for fault, rule := range map[string]string{
		"Upgrade panics":                                "drawing the log",
		"Upgrade tells of the process":                  "equal commands give equal results",
		"Upgrade changes what a View shares":            "a View never changes",
		"Save forgets what came with the upgrade":       "a snapshot is the whole state",
		"Load goes on as what it ran as":                "a snapshot is the whole state",
		"Upgrade counts on what was not saved":          "a snapshot is the whole state",
		"it answers as the new one too early":           "a build serves as the one before until it is upgraded",
		"it digests as the new one too early":           "a build serves as the one before until it is upgraded",
		"it saves as the new one too early":             "a snapshot is the whole state",
		"it loads as the new one too early":             "a snapshot is the whole state",
		"Upgrade forgets the version":                   "a View never changes",
		"it loads only what it saves":                   "a build loads what the one before saved",
		"it saves more than the one before loads":       "the build before loads what a new one saved",
		"Upgrade counts on what only the new one saves": "what the build before saved is upgraded as what the new one has",
	} {
		t.Run(fault, func(t *testing.T) {
			r := upgraded(t, fault)
			if want := fmt.Sprintf("rule %q", rule); !strings.Contains(r.failed, want) {
				t.Errorf("it failed with %.300q, want %s", r.failed, want)
			}
		})
	}
}

// Builds between which no version is shared cannot follow one another host by host.
func TestBuildsWithoutACommonVersionAreRefused(t *testing.T) {
	r := &recorder{TB: t}
	func() {
		defer func() { _ = recover() }()
		kind := dialKind(3, "")
		kind.Oldest = 2
		machinetest.RunUpgrade(r, dialKind(1, ""), kind, dialCommand, dialQuery)
	}()
	if !strings.Contains(r.failed, "cannot be upgraded host by host") {
		t.Errorf("failed with %q", r.failed)
	}
}
