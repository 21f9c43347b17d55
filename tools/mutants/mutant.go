package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"
)

// A mutant is one patch and what its head says.
type mutant struct {
	title   string
	command []string
	files   []string // slash-separated, that it touches
}

// parse reads the head of a patch and the names of the files it touches.
func parse(patch []byte) (*mutant, error) {
	m := &mutant{}
	head := true
	lines := bufio.NewScanner(bytes.NewReader(patch))
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		line := lines.Text()
		if strings.HasPrefix(line, "diff ") || strings.HasPrefix(line, "--- ") {
			head = false
		}
		if name, ok := strings.CutPrefix(line, "+++ b/"); ok {
			name, _, _ = strings.Cut(name, "\t")
			m.files = append(m.files, name)
		}
		if !head {
			continue
		}
		if title, ok := strings.CutPrefix(line, "Mutant: "); ok {
			m.title = title
		}
		if command, ok := strings.CutPrefix(line, "Run: "); ok {
			m.command = strings.Fields(command)
		}
	}
	switch {
	case lines.Err() != nil:
		return nil, lines.Err()
	case m.title == "":
		return nil, errors.New("the head has no line \"Mutant: …\"")
	case len(m.command) < 3 || m.command[0] != "go" || m.command[1] != "test" && m.command[1] != "run":
		return nil, errors.New("the head has no line \"Run: go test …\" or \"Run: go run …\"")
	case len(m.files) == 0:
		return nil, errors.New("the patch touches no file")
	}
	return m, nil
}

// A runner tries mutants on one tree, several at once.
type runner struct {
	root   string
	limit  time.Duration
	mu     sync.Mutex
	passes map[string]func() error // runs a command without a mutant the first time, and says how that ended
}

func newRunner(root string, limit time.Duration) *runner {
	return &runner{root: root, limit: limit, passes: map[string]func() error{}}
}

var (
	unbuilt  = regexp.MustCompile(`(?m)\[(build|setup) failed\]|^go: |^# \S+\.\S+/`)
	timedOut = regexp.MustCompile(`test timed out after`)
	seed     = regexp.MustCompile(`\bseed[ =:]+(\d+)`)
)

// try applies one patch to copies, runs its command on the overlaid tree, and says who caught it.
func (r *runner) try(ctx context.Context, name string) (verdict string, err error) {
	patch, err := os.ReadFile(name)
	if err != nil {
		return "", err
	}
	m, err := parse(patch)
	if err != nil {
		return "", err
	}
	dir, err := os.MkdirTemp("", "mutant")
	if err != nil {
		return "", err
	}
	defer os.RemoveAll(dir)
	overlay, err := r.overlay(dir, patch, m.files)
	if err != nil {
		return "", err
	}
	if err := r.pass(ctx, m.command); err != nil {
		return "", fmt.Errorf("the command fails without the mutant: %w", err)
	}
	flags := []string{"-overlay", overlay}
	if m.command[1] == "test" {
		flags = append(flags, "-vet=off") // the tree was vetted
	}
	out, err := r.run(ctx, slices.Concat(m.command[:2], flags, m.command[2:]))
	var exit *exec.ExitError
	switch {
	case err == nil:
		return "", fmt.Errorf("survived: %s", m.title)
	case timedOut.Match(out):
		return "", fmt.Errorf("timed out: %s", m.title)
	case unbuilt.Match(out):
		return "", fmt.Errorf("does not build:\n%s", tail(out))
	case !errors.As(err, &exit):
		return "", err
	}
	verdict = m.title
	if found := seed.FindSubmatch(out); found != nil {
		verdict += fmt.Sprintf(" (seed %s)", found[1])
	}
	return verdict, nil
}

// overlay writes the mutated copies of files into dir and returns the name of the build's overlay.
func (r *runner) overlay(dir string, patch []byte, files []string) (string, error) {
	replace := map[string]string{}
	for _, file := range files {
		original, mutated := filepath.Join(r.root, filepath.FromSlash(file)), filepath.Join(dir, filepath.FromSlash(file))
		replace[original] = mutated
		if err := os.MkdirAll(filepath.Dir(mutated), 0o777); err != nil {
			return "", err
		}
		text, err := os.ReadFile(original)
		if errors.Is(err, os.ErrNotExist) {
			continue // the patch makes it
		}
		if err != nil {
			return "", err
		}
		if err := os.WriteFile(mutated, text, 0o666); err != nil {
			return "", err
		}
	}
	apply := exec.Command("git", "apply", "--whitespace=nowarn", "-")
	apply.Dir = dir
	apply.Stdin = bytes.NewReader(patch)
	// Inside a repository git would look for the files at its root: dir is none, whatever is above.
	apply.Env = append(os.Environ(), "GIT_CEILING_DIRECTORIES="+filepath.Dir(dir))
	if out, err := apply.CombinedOutput(); err != nil {
		return "", fmt.Errorf("the patch does not apply: %w\n%s", err, tail(out))
	}
	if err := r.changed(replace); err != nil {
		return "", err
	}
	text, err := json.Marshal(map[string]any{"Replace": replace})
	if err != nil {
		return "", err
	}
	name := filepath.Join(dir, "overlay.json")
	return name, os.WriteFile(name, text, 0o666)
}

// changed checks that the patch did something to each of its files: a mutant that is equal to the
// tree would survive for another reason than the one that is reported.
func (r *runner) changed(replace map[string]string) error {
	for original, mutated := range replace {
		before, _ := os.ReadFile(original)
		after, err := os.ReadFile(mutated)
		if err != nil {
			return fmt.Errorf("read the mutated file: %w", err)
		}
		if bytes.Equal(before, after) {
			return fmt.Errorf("the patch changed nothing in %s", filepath.Base(original))
		}
	}
	return nil
}

// pass runs a command without any mutant, once for all mutants that share it.
func (r *runner) pass(ctx context.Context, command []string) error {
	key := strings.Join(command, " ")
	r.mu.Lock()
	passes := r.passes[key]
	if passes == nil {
		passes = sync.OnceValue(func() error {
			out, err := r.run(ctx, command)
			if err != nil {
				err = fmt.Errorf("%s: %w\n%s", key, err, tail(out))
			}
			return err
		})
		r.passes[key] = passes
	}
	r.mu.Unlock()
	return passes()
}

// mostMemory is what a mutant may take, in KiB of addresses: one that goes round without end while it allocates must
// not stop the machine.
const mostMemory = 8 << 20

func (r *runner) run(ctx context.Context, command []string) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, r.limit)
	defer cancel()
	bounded := fmt.Sprintf(`ulimit -v %d; exec "$0" "$@"`, mostMemory)
	c := exec.CommandContext(ctx, "sh", append([]string{"-c", bounded}, command...)...)
	c.Dir = r.root
	c.Env = append(os.Environ(), "LOCKSTEP_SHRINK=0s") // a recording of a mutant would stay in the tree
	out, err := c.CombinedOutput()
	if ctx.Err() != nil {
		return out, fmt.Errorf("%s: %w after %v", strings.Join(command, " "), ctx.Err(), r.limit)
	}
	return out, err
}

// tail is the end of a command's output.
func tail(out []byte) string {
	lines := strings.Split(strings.TrimSpace(string(out)), "\n")
	return strings.Join(lines[max(0, len(lines)-20):], "\n")
}
