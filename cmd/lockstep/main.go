// Command lockstep runs a replicated, fault-tolerant store that speaks the etcd v3 API.
package main

import (
	"context"
	"io"
	"os"

	"github.com/lockstep-rsm/lockstep/cli"
	"github.com/lockstep-rsm/lockstep/sim"
	"github.com/lockstep-rsm/lockstep/sim/workload"
)

// version is set by the build: -ldflags "-X main.version=1.2.3".
var version = "0.1.0-dev"

func main() {
	p := cli.Program{Version: version, Out: os.Stdout, Err: os.Stderr, Getenv: os.Getenv, Simulate: simulate}
	os.Exit(p.Run(os.Args[1:]))
}

func simulate(ctx context.Context, seed uint64, seeds int, out io.Writer) error {
	return sim.Simulate(ctx, seed, seeds, workload.KV(), out)
}
