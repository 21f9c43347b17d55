// Command mutants shows that the tests would notice known bugs. Each patch in sim/mutants puts one
// bug into a copy of the files it touches; the patch's own command then runs on the overlaid tree
// and has to fail. The tree itself is never changed.
//
// A patch begins with lines that say what it is, before the first line of the diff:
//
//	Mutant: the bug in one sentence
//	Breaks: R5
//	Run: go test -tags grpcnotrace -run TestElection ./raft
//
// It is an error if a patch does not apply, if the mutant does not compile, if its command fails
// without the mutant, and if the mutant survives.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"time"
)

func main() {
	root := flag.String("root", ".", "the tree's root")
	only := flag.String("only", "*", "run only patches whose name, without .patch, matches this pattern")
	limit := flag.Duration("limit", 10*time.Minute, "the longest that one command may take")
	flag.Parse()
	if err := run(*root, *only, *limit); err != nil {
		fmt.Fprintln(os.Stderr, "error:", err)
		os.Exit(1)
	}
}

func run(root, only string, limit time.Duration) error {
	root, err := filepath.Abs(root)
	if err != nil {
		return err
	}
	patches, err := filepath.Glob(filepath.Join(root, "sim", "mutants", only+".patch"))
	if err != nil {
		return err
	}
	if len(patches) == 0 {
		return fmt.Errorf("no patch matches sim/mutants/%s.patch", only)
	}
	r := runner{root: root, limit: limit, passes: map[string]error{}}
	caught := 0
	for _, name := range patches {
		start := time.Now()
		verdict, err := r.try(context.Background(), name)
		took := time.Since(start).Round(100 * time.Millisecond)
		if err != nil {
			fmt.Printf("FAIL  %-40s %6v  %v\n", filepath.Base(name), took, err)
			continue
		}
		caught++
		fmt.Printf("ok    %-40s %6v  %s\n", filepath.Base(name), took, verdict)
	}
	fmt.Printf("mutants: %d of %d caught\n", caught, len(patches))
	if caught != len(patches) {
		return fmt.Errorf("%d mutants were not caught", len(patches)-caught)
	}
	return nil
}
