package sim

import (
	"context"
	"io"
	"strings"
	"time"

	"github.com/lockstep-rsm/lockstep"
	"github.com/lockstep-rsm/lockstep/machine"
	"github.com/lockstep-rsm/lockstep/sim/check"
)

// Options of a simulation. Only Machine is required, and Client if there is no Script.
type Options struct {
	Name    string // of what is simulated, in recordings. Zero: of the test that runs it
	Machine machine.Kind
	Client  func(ctx context.Context, c *Client) // one client's life, Clients of them at once; ctx ends with the simulated time
	Check   func(v machine.View) error           // your invariant: each replica, each mark, and the end. nil: none
	Judge   func([]*check.Call) check.Verdict    // Unstable. An independent judge of the whole history, at the end. nil: none

	Hosts, Clients, Seeds int           // zero: 3 or 5 by seed; 4; 100 (with -short 10)
	First                 uint64        // the first seed. Zero: 1
	Former                machine.Kind  // the build before: where Upgrade is drawn hosts begin with it. Zero: Machine without its newest version
	Length                time.Duration // of simulated time before the healing. Zero: 60 s
	Calls                 int           // a seed goes on beyond Length until so many were answered, within bounds. Zero: none are needed
	Faults                Faults        // zero: All, each seed draws a few
	Calm                  int           // faults, and what operators do, are so many times as far apart, and some faults last so many times as long. Zero: 1, of which one comes in some seconds

	Options func(host int, o *lockstep.Options) // changes a host's options. nil: none
	Script  func(ctx context.Context, w *World) // your own faults, beside the drawn ones or (Faults: None) instead; called on a task of its own
	Trace   io.Writer                           // events and log lines of a seed that is played once. nil: none
	HTML    io.Writer                           // a picture of a seed that is played once. nil: none
	Shrink  time.Duration                       // how long a failing seed may be shrunk, of real time. Zero: 1 min; below zero: not at all

	closely bool // compare states after every batch
}

// Faults is a set of kinds of faults.
type Faults uint32

// The faults.
//
// BitRot in a log damages a replica for good, as nothing mends that; a machine that misbehaves, or has no snapshot to
// be made of, is out of service until it is made anew: never more than a minority of the hosts at a time. Such a
// replica has to serve nothing that is false. One whose log rotted is not waited for in the end; the others have to
// serve again. Where Membership or Replacement are drawn, too, no log rots, and of three hosts no machine comes to another
// state, as two voters of which one differs have no majority. Poison comes with none of BitRot, Membership and Replacement, as
// all members have to say that they are stopped at what is passed over.
const (
	Crash        Faults = 1 << iota // processes are killed, and started again
	PowerLoss                       // hosts lose power, several at one instant too
	Pause                           // processes stand still for a while
	Partition                       // links are cut, both ways or one way
	Messages                        // writes are lost, doubled, reordered and delayed
	SlowDisk                        // disks are slow, or stuck for a while
	FullDisk                        // disks fill up for a while
	Clocks                          // calendars jump, clocks run fast or slow
	BitRot                          // a bit of a batch that was promised, or of a sealed snapshot, flips
	Membership                      // voters are removed, learn, and come back, as other replicas
	MachineError                    // a machine panics, gives an error, or comes to another state than the others
	Replacement                     // hosts are lost with their directories, or given up, and others join in their place
	Upgrade                         // hosts begin with the build before, get the new one and may go back; feature level and machine's version rise
	Halt                            // an operator stops writes for a while
	Poison                          // every machine panics at a command, until an operator has it passed over

	None    Faults = 1 << 31
	drawn          = Crash | PowerLoss | Pause | Partition | Messages | SlowDisk | FullDisk | Clocks | BitRot | MachineError | Membership | Replacement | Upgrade | Halt | Poison
	lasting        = BitRot | MachineError   // come at most a few times in a run
	decided        = Upgrade | Halt | Poison // by operators, too: beside the others
	All            = drawn
)

var faultNames = []string{
	"crash", "power loss", "pause", "partition", "messages", "slow disk", "full disk", "clocks", "bit rot", "membership", "machine error", "replacement",
	"upgrade", "halt", "poison",
}

// String lists the faults' names.
func (f Faults) String() string {
	var names []string
	for i, name := range faultNames {
		if f&(1<<i) != 0 {
			names = append(names, name)
		}
	}
	if names == nil {
		return "none"
	}
	return strings.Join(names, ", ")
}

// fill puts in the defaults.
func (o *Options) fill() {
	if o.Clients == 0 {
		o.Clients = 4
	}
	if o.First == 0 {
		o.First = 1
	}
	if o.Length == 0 {
		o.Length = 60 * time.Second
	}
	if o.Faults == 0 {
		o.Faults = All
	}
	if o.Calm == 0 {
		o.Calm = 1
	}
	if o.Shrink == 0 {
		o.Shrink = time.Minute
	}
}
