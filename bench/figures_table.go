package main

// A figure is a row of docs/performance.md: a command, and the ratios that are asked of it.
type figure struct {
	title   string
	args    string // of the command, but for rounds and windows
	once    bool   // one round says it: it repeats within, or takes long
	regress bool   // the nightly gate measures it, too
	bars    []bar
}

// A bar is a ratio of one peer's value to the best of others', or to a row of its own, and what is
// asked of it.
type bar struct {
	key     string   // a value, such as op/s
	of      string   // peer
	over    []string // the best of these by the median; none: the value itself
	overRow string   // title of another figure: of the same peer there
	atLeast float64  // zero: nothing is asked
	atMost  float64
}

var rivals = []string{"etcd", "hashicorp-tuned", "dragonboat-pebble1", "dragonboat-tan", "dragonboat-tan2"}

// more and less ask for a ratio of Lockstep to the best rival.
func more(key string, times float64) bar {
	return bar{key: key, of: subject, over: rivals, atLeast: times}
}

func less(key string, times float64) bar {
	return bar{key: key, of: subject, over: rivals, atMost: times}
}

func floorMore(times float64) bar {
	return bar{key: "op/s", of: subject, over: []string{"floor-direct"}, atLeast: times}
}

const sixteenAt4096 = "W2: 16 B, 4096 clients"

// figures is everything that docs/performance.md shows. Each row has the rivals that earlier runs found
// best at it, so that all fit into the time there is.
var figures = []figure{
	{title: "W1: one client, 128 B", args: "write -peers floor-direct,floor,lockstep,lockstep-fdatasync,etcd,hashicorp-tuned,dragonboat-pebble1", regress: true, bars: []bar{
		{key: "p50 µs", of: subject, over: []string{"floor-direct"}, atMost: 1.15},
		{key: "p50 µs", of: "lockstep-fdatasync", over: []string{"floor"}, atMost: 1.15},
		{key: "p50 µs", of: subject, over: []string{"etcd"}, atMost: 0.80},
		{key: "p50 µs", of: "lockstep-fdatasync", over: []string{"etcd"}, atMost: 0.90},
		less("p99 µs", 1),
	}},
	{title: "Where a lonely write goes", args: "trace", once: true},
	{title: "W2: 16 B, 64 clients", args: "write -clients 64 -size 16 -peers floor-direct,lockstep,hashicorp-tuned,dragonboat-tan", bars: []bar{floorMore(0.6), more("op/s", 1)}},
	{title: "W2: 16 B, 256 clients", args: "write -clients 256 -size 16 -peers floor-direct,lockstep,etcd,hashicorp-tuned,dragonboat-pebble1", bars: []bar{
		floorMore(0.6), more("op/s", 1), {key: "op/s", of: subject, over: []string{"etcd"}, atLeast: 2},
	}},
	{title: "W2: 16 B, 1024 clients", args: "write -clients 1024 -size 16 -peers floor-direct,floor,lockstep,lockstep-fdatasync,dragonboat-pebble1,dragonboat-tan2", regress: true, bars: []bar{
		floorMore(0.6),
		{key: "op/s", of: "lockstep-fdatasync", over: []string{"floor"}, atLeast: 0.6},
		more("op/s", 1), less("CPU µs/op", 0.5),
		{key: "allocs/op", of: subject, atMost: 2},
	}},
	{title: sixteenAt4096, args: "write -clients 4096 -size 16 -peers floor-direct,lockstep,dragonboat-tan,dragonboat-tan2", bars: []bar{
		floorMore(0.6), more("op/s", 1), {key: "errors", of: subject},
	}},
	{title: "W2: 128 B, 1024 clients", args: "write -clients 1024 -size 128 -peers lockstep,hashicorp-tuned,dragonboat-tan", bars: []bar{more("op/s", 1.8)}},
	{title: "W2: 128 B, 4096 clients", args: "write -clients 4096 -size 128 -peers lockstep,hashicorp-tuned,dragonboat-tan", bars: []bar{more("op/s", 1.8)}},
	{title: "W2: 1 KiB, 1024 clients", args: "write -clients 1024 -size 1024 -peers lockstep,hashicorp-tuned,dragonboat-tan", bars: []bar{more("op/s", 1.8)}},
	{title: "W2: 1 KiB, 4096 clients", args: "write -clients 4096 -size 1024 -peers lockstep,hashicorp-tuned,dragonboat-tan", bars: []bar{more("op/s", 1.8)}},
	{title: "W2a: pipelined, 16 B, 4096 outstanding", args: "write -pipelined -clients 4096 -size 16 -peers lockstep,hashicorp-tuned,dragonboat-tan,dragonboat-tan2", bars: []bar{more("op/s", 2)}},
	{title: "W3: 48 groups, 16 B, 4096 clients", args: "groups -groups 48 -peers lockstep,dragonboat-pebble1,dragonboat-tan2", regress: true, bars: []bar{
		more("op/s", 8), {key: "op/s", of: subject, overRow: sixteenAt4096, atLeast: 0.7},
	}},
	{title: "W3: 256 groups, 16 B, 4096 clients", args: "groups -groups 256 -peers lockstep,dragonboat-pebble1", bars: []bar{
		more("op/s", 8), {key: "op/s", of: subject, overRow: sixteenAt4096, atLeast: 0.7},
	}},
	{title: "W3: 1,000 groups, 16 B, 4096 clients", args: "groups -groups 1000 -peers lockstep", once: true, bars: []bar{{key: "op/s", of: subject, overRow: sixteenAt4096}}},
	{title: "W3: 10,000 groups, 16 B, 4096 clients", args: "groups -groups 10000 -peers lockstep", once: true, bars: []bar{{key: "op/s", of: subject, overRow: sixteenAt4096}}},
	{title: "W4: linearizable reads, one client", args: "read -clients 1 -peers floor-direct,lockstep,etcd,hashicorp-tuned,dragonboat-tan", bars: []bar{
		{key: "p50 µs", of: subject, over: []string{"floor-direct"}, atMost: 1.3},
	}},
	{title: "W4: linearizable reads, 256 clients", args: "read -clients 256 -peers floor-direct,lockstep,etcd,hashicorp-tuned,dragonboat-tan", regress: true, bars: []bar{
		{key: "op/s", of: subject, over: []string{"hashicorp-tuned"}, atLeast: 2},
		{key: "op/s", of: subject, over: []string{"dragonboat-tan"}, atLeast: 5},
	}},
	{title: "W5: nine reads to one write, 256 clients", args: "read -writes 10 -clients 256 -peers floor-direct,lockstep,hashicorp-tuned,dragonboat-tan", regress: true, bars: []bar{more("op/s", 2.5)}},
	{title: "W6: failover, default timings", args: "failover", once: true, bars: []bar{{key: "failover ms", of: subject, over: []string{"etcd"}, atMost: 0.3}}},
	{title: "W6: failover, the same timings", args: "failover -heartbeat 10ms -election 100ms", once: true, bars: []bar{{key: "failover ms", of: subject, over: []string{"etcd"}, atMost: 0.8}}},
	{title: "W7: restart with a million commands", args: "restart -peers lockstep,etcd,dragonboat-tan", once: true, bars: []bar{less("caught up ms", 0.5)}},
	{title: "W8: idle, one group", args: "idle -groups 1 -warm 20s -duration 20s -peers lockstep,etcd,hashicorp-tuned,dragonboat-tan", once: true, bars: []bar{less("% of a core", 1), less("RSS MiB", 1)}},
	{title: "W8: idle, 1,000 groups", args: "idle -groups 1000 -warm 20s -duration 20s -peers lockstep", once: true, bars: []bar{{key: "% of a core", of: subject, atMost: 0.5}}},
	{title: "W8: idle, 10,000 groups", args: "idle -groups 10000 -warm 20s -duration 20s -peers lockstep", once: true, bars: []bar{
		{key: "% of a core", of: subject, atMost: 2}, {key: "RSS KiB per group", of: subject, atMost: 16},
	}},
	{title: "W9: peak memory over two million commands", args: "memory -peers lockstep,hashicorp-tuned", once: true, bars: []bar{less("leader peak RSS MiB", 1)}},
	{title: "Server: one client, 128 B", args: "server", bars: []bar{less("p50 µs", 1)}},
	{title: "Server: 64 clients, 128 B", args: "server -clients 64", bars: []bar{more("op/s", 1)}},
	{title: "Server: 16 B, 256 clients", args: "server -clients 256 -size 16", bars: []bar{more("op/s", 1)}},
	{title: "Server: idle", args: "idle -warm 5s -duration 60s", once: true, bars: []bar{{key: "% of a core", of: subject, atMost: 1}, {key: "RSS MiB", of: subject, atMost: 64}}},
	{title: "Snapshot of 256 MiB", args: "snapshot", once: true, bars: []bar{{key: "p99 during ÷ quiet", of: subject, atMost: 3}}},
}
