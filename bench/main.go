package main

import (
	"errors"
	"flag"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// settings are the flags of a row.
type settings struct {
	task
	peers    string
	rounds   int
	noise    float64
	patience time.Duration
	strict   bool
	out      string
	end      time.Time // a point that is not done a minute later is given up. Zero: after a bound of its own
}

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func run(args []string) error {
	if len(args) == 0 {
		return errors.New("usage: bench ROW [flags], bench figures|regress [flags], or bench report KEY FILE; see docs/performance.md")
	}
	switch {
	case args[0] == "child" && len(args) == 2:
		return child(args[1])
	case args[0] == "figures":
		return figuresCommand(args[1:])
	case args[0] == "regress":
		return regressCommand(args[1:])
	case args[0] == "report" && len(args) >= 2:
		return reportFiles(args[1:])
	}
	s, err := parse(args[0], args[1:])
	if err != nil {
		return err
	}
	return s.run()
}

// defaults of the rows.
var defaults = map[string]settings{
	"write":    {task: task{Clients: 1, Size: 128, Duration: 5 * time.Second}, peers: "floor-direct,floor,lockstep,lockstep-fdatasync,etcd,hashicorp-tuned,dragonboat-pebble1,dragonboat-tan,dragonboat-tan2"},
	"read":     {task: task{Clients: 256, Size: 128, Duration: 5 * time.Second}, peers: "floor-direct,lockstep,etcd,hashicorp-tuned,dragonboat-pebble1,dragonboat-tan"},
	"groups":   {task: task{Clients: 4096, Size: 16, Groups: 48, Duration: 5 * time.Second}, peers: "lockstep,lockstep-fdatasync,dragonboat-pebble1,dragonboat-tan2"},
	"trace":    {task: task{Size: 128, Duration: 5 * time.Second}, peers: "lockstep,lockstep-fdatasync", rounds: 3},
	"failover": {task: task{Size: 128, Times: 5}, peers: "lockstep,etcd,hashicorp-tuned,dragonboat-tan", rounds: 1},
	"restart":  {task: task{Size: 128, Puts: 1_000_000, Times: 3}, peers: "lockstep,etcd,hashicorp-tuned,dragonboat-tan", rounds: 1},
	"memory":   {task: task{Size: 128, Puts: 2_000_000}, peers: "lockstep,etcd,hashicorp-tuned,dragonboat-tan", rounds: 1},
	"server":   {task: task{Clients: 1, Size: 128, Duration: 5 * time.Second}, peers: "lockstep,etcd"},
	"idle":     {task: task{Size: 128, Puts: 10_000, Duration: time.Minute}, peers: "lockstep,etcd", rounds: 1},
	"snapshot": {task: task{Clients: 1, Size: 128, Duration: 5 * time.Second}, peers: "lockstep"},
}

func rowNames() string { return strings.Join(slices.Sorted(maps.Keys(defaults)), ", ") }

func parse(row string, args []string) (*settings, error) {
	d, ok := defaults[row]
	if !ok {
		return nil, fmt.Errorf("unknown row %q: the rows are %s", row, rowNames())
	}
	if d.rounds == 0 {
		d.rounds = 5
	}
	self, err := os.Executable()
	if err != nil {
		return nil, fmt.Errorf("find own program: %w", err)
	}
	beside := filepath.Dir(self)
	s := &settings{task: task{Do: row}}
	f := flag.NewFlagSet("bench "+row, flag.ContinueOnError)
	f.StringVar(&s.peers, "peers", d.peers, "peers, with commas between")
	f.IntVar(&s.rounds, "rounds", d.rounds, "points of each peer")
	f.IntVar(&s.Clients, "clients", d.Clients, "operations outstanding")
	f.IntVar(&s.Groups, "groups", d.Groups, "groups that puts go to at random, or that are idle. 0 in the row idle: servers instead of replicas")
	f.IntVar(&s.Crowd, "crowd", 0, "in the row of groups, so many more clients that all put to group 1 and are not measured: what is left to the others")
	f.IntVar(&s.Writes, "writes", 0, "of a hundred operations of the row of reads")
	f.BoolVar(&s.Pipelined, "pipelined", false, "64 clients share what is outstanding; the row of writes alone")
	f.IntVar(&s.Size, "size", d.Size, "bytes of a put, key included")
	f.DurationVar(&s.Duration, "duration", d.Duration, "of the measured window")
	f.DurationVar(&s.Warm, "warm", time.Second, "before the measured window")
	f.IntVar(&s.Puts, "puts", d.Puts, "before an idle window, a restart, a look at memory")
	f.IntVar(&s.Times, "times", d.Times, "that a leader is killed, or a follower restarted, in each round")
	f.DurationVar(&s.Heartbeat, "heartbeat", 0, "of replicas, with -election. Zero: the engine's defaults")
	f.DurationVar(&s.Election, "election", 0, "timeout of replicas. Zero: the engine's defaults")
	f.Int64Var(&s.State, "state", 256<<20, "bytes of state that a snapshot writes")
	f.Float64Var(&s.noise, "noise", 0.25, "cores that others may take before a point is noisy")
	f.DurationVar(&s.patience, "patience", 20*time.Second, "wait for a quiet machine before a point")
	f.BoolVar(&s.strict, "strict", false, "refuse a noisy point instead of marking it")
	f.StringVar(&s.Dir, "dir", filepath.Join(beside, "bench-data"), "scratch folder on the disk to be measured; removed")
	f.StringVar(&s.Program, "program", filepath.Join(beside, "lockstep"), "program of Lockstep, for the rows with servers")
	f.StringVar(&s.out, "out", "", "file to append the points to, as lines of JSON")
	f.StringVar(&s.Profile, "profile", "", "prefix of profiles of the last point of each peer")
	if err := f.Parse(args); err != nil {
		return nil, err
	}
	if s.Writes < 0 || s.Writes > 100 || s.Clients < 0 || s.Groups < 0 || s.Crowd < 0 || s.Crowd > 0 && row != "groups" || s.Pipelined && row != "write" {
		return nil, errors.New("wrong flags: -writes is between 0 and 100, -clients, -groups and -crowd are not negative, -pipelined is for the row write, -crowd for the row groups")
	}
	if (s.Heartbeat > 0) != (s.Election > 0) || s.Election < 4*s.Heartbeat {
		return nil, errors.New("wrong flags: -heartbeat and -election stand together, and an election takes four heartbeats or more")
	}
	if f.NArg() > 0 || s.Size < 8 || s.rounds < 1 || strings.TrimSpace(s.peers) == "" {
		return nil, errors.New("wrong flags: a put has at least 8 bytes, a row at least one round and one peer, and nothing follows the flags")
	}
	return s, nil
}
