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
// Where the bug is one of docs/scenarios.md, the name ends in its number, as in vote_forgotten_bug26.patch.
//
// It is an error if a patch does not apply, if the mutant does not compile, if its command fails
// without the mutant, and if the mutant survives. As many mutants are tried at once as there are
// processors: most of the time goes into compiling and linking each of them.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"time"
)

func main() {
	root := flag.String("root", ".", "the tree's root")
	only := flag.String("only", "*", "run only patches whose name, without .patch, matches this pattern")
	limit := flag.Duration("limit", 10*time.Minute, "the longest that one command may take")
	parallel := flag.Int("parallel", runtime.GOMAXPROCS(0), "how many mutants are tried at once")
	flag.Parse()
	if err := run(*root, *only, *limit, max(*parallel, 1)); err != nil {
		fmt.Fprintln(os.Stderr, "error:", err)
		os.Exit(1)
	}
}

// outcome is what became of one mutant.
type outcome struct {
	caught
	err  error
	took time.Duration
}

func run(root, only string, limit time.Duration, parallel int) error {
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
	dir, err := os.MkdirTemp("", "mutants")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	r := newRunner(root, dir, limit)
	places := make(chan struct{}, parallel)
	outcomes := make([]chan outcome, len(patches))
	for i, name := range patches {
		outcomes[i] = make(chan outcome, 1)
		go func() {
			places <- struct{}{}
			start := time.Now()
			c, err := r.try(context.Background(), name)
			outcomes[i] <- outcome{c, err, time.Since(start).Round(100 * time.Millisecond)}
			<-places
		}()
	}
	caught, seeds := 0, []int(nil)
	for i, name := range patches {
		o := <-outcomes[i]
		if o.err != nil {
			fmt.Printf("FAIL  %-52s %6v  %v\n", filepath.Base(name), o.took, o.err)
			continue
		}
		caught++
		by := ""
		if o.seed > 0 {
			by = fmt.Sprintf(" (seed %d)", o.seed)
			seeds = append(seeds, o.seed)
		}
		fmt.Printf("ok    %-52s %6v  %s%s\n", filepath.Base(name), o.took, o.title, by)
	}
	fmt.Printf("mutants: %d of %d caught", caught, len(patches))
	if n := len(seeds); n > 0 {
		slices.Sort(seeds)
		fmt.Printf("; %d in simulations, the median by seed %d, the last by seed %d", n, seeds[n/2], seeds[n-1])
	}
	fmt.Println()
	if caught != len(patches) {
		return fmt.Errorf("%d mutants were not caught", len(patches)-caught)
	}
	return nil
}
