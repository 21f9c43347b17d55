// Command lockstep runs a replicated, fault-tolerant store that speaks the etcd v3 API.
package main

import (
	"os"

	"github.com/lockstep-rsm/lockstep/cli"
	"github.com/lockstep-rsm/lockstep/sim"
	"github.com/lockstep-rsm/lockstep/sim/workload"
)

// version is set by the build: -ldflags "-X main.version=1.2.3".
var version = "0.1.0-dev"

func main() {
	p := cli.Program{
		Version: version, Out: os.Stdout, Err: os.Stderr, Getenv: os.Getenv, Environ: os.Environ,
		Loads: map[string]sim.Options{"kv": workload.KV(), "counter": workload.Counter(), "long": workload.Long()},
	}
	os.Exit(p.Run(os.Args[1:]))
}
