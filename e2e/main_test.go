package e2e

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
	"time"
)

var (
	long = flag.Bool("long", false, "do more of the same: more kills, more requests, three replicas under the oracle")
	seed = flag.Uint64("seed", 0, "of what the tests draw; zero: from the clock. A test that draws prints it")
	path = flag.String("program", "", "the lockstep to test; empty: it is built from this tree")
	keep = flag.Bool("keep", false, "print the logs of all replicas, also of tests that pass")
)

func TestMain(m *testing.M) {
	flag.Parse()
	if *seed == 0 {
		*seed = uint64(time.Now().UnixNano())
	}
	code := m.Run()
	if programDir != "" {
		_ = os.RemoveAll(programDir)
	}
	os.Exit(code)
}

// programDir holds the program for as long as the tests run.
var programDir string

// buildProgram builds the program once, as README tells users to.
var buildProgram = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("", "lockstep-e2e-")
	if err != nil {
		return "", err
	}
	programDir = dir
	out := filepath.Join(dir, "lockstep")
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
	defer cancel()
	build := exec.CommandContext(ctx, "go", "build", "-tags", "grpcnotrace", "-o", out, "./cmd/lockstep")
	build.Dir, build.Env = "..", append(os.Environ(), "CGO_ENABLED=0")
	if said, err := build.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build lockstep: %w\n%s", err, said)
	}
	return out, nil
})

// program is the path of the program under test.
func program(t testing.TB) string {
	t.Helper()
	if *path != "" {
		return *path
	}
	built, err := buildProgram()
	if err != nil {
		t.Fatal(err)
	}
	return built
}
