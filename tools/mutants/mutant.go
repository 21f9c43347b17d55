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
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// A mutant is one patch and what its head says.
type mutant struct {
	title string
	test  test
	files []string // slash-separated, that it touches
}

// A test is a line "Run: go test …", taken apart: what is built, and how what was built is run.
type test struct {
	dir  string   // of the package, below the root
	tags string   // of the build
	args []string // of the test binary
}

// parseTest takes apart go test with the flags that a patch may have: before the package those of go test,
// behind it those of the test itself.
func parseTest(words []string) (t test, err error) {
	if len(words) < 3 || words[0] != "go" || words[1] != "test" {
		return t, errors.New("the head has no line \"Run: go test …\"")
	}
	for words = words[2:]; len(words) > 0; words = words[1:] {
		word := words[0]
		if !strings.HasPrefix(word, "-") {
			t.dir, t.args = path.Clean(word), append(t.args, words[1:]...)
			return t, nil
		}
		name, value, ok := strings.Cut(word[1:], "=")
		if !ok {
			if len(words) < 2 {
				break
			}
			value, words = words[1], words[1:]
		}
		switch name {
		case "tags":
			t.tags = value
		case "count", "run", "timeout":
			t.args = append(t.args, "-test."+name+"="+value)
		default:
			return t, fmt.Errorf("go test of a mutant has flags -tags, -count, -run and -timeout before the package, and no -%s", name)
		}
	}
	return t, errors.New("go test of a mutant names no package")
}

// key is equal for tests of one binary.
func (t *test) key() string { return t.dir + " " + t.tags }

// parse reads the head of a patch and the names of the files it touches.
func parse(patch []byte) (*mutant, error) {
	m := &mutant{}
	var words []string
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
			words = strings.Fields(command)
		}
	}
	switch {
	case lines.Err() != nil:
		return nil, lines.Err()
	case m.title == "":
		return nil, errors.New("the head has no line \"Mutant: …\"")
	case len(m.files) == 0:
		return nil, errors.New("the patch touches no file")
	}
	var err error
	m.test, err = parseTest(words)
	return m, err
}

// A runner tries mutants on one tree, several at once.
type runner struct {
	root   string
	limit  time.Duration
	dir    string // of test binaries
	mu     sync.Mutex
	builds map[string]func() (string, error) // the tree's own test binary, built the first time
	passes map[string]func() error           // runs a test without a mutant the first time, and says how that ended
}

// newRunner keeps what it builds in dir.
func newRunner(root, dir string, limit time.Duration) *runner {
	return &runner{root: root, limit: limit, dir: dir, builds: map[string]func() (string, error){}, passes: map[string]func() error{}}
}

var (
	timedOut = regexp.MustCompile(`test timed out after`)
	noTest   = regexp.MustCompile(`no tests to run`)
	seed     = regexp.MustCompile(`\bseed[ =:]+(\d+)`)
)

// caught is a mutant that its test has noticed.
type caught struct {
	title string
	seed  int // of the simulation that noticed it; 0: it was another test
}

// try applies one patch to copies, runs its test on the overlaid tree, and says who caught it.
func (r *runner) try(ctx context.Context, name string) (c caught, err error) {
	patch, err := os.ReadFile(name)
	if err != nil {
		return c, err
	}
	m, err := parse(patch)
	if err != nil {
		return c, err
	}
	dir, err := os.MkdirTemp(r.dir, "mutant")
	if err != nil {
		return c, err
	}
	defer os.RemoveAll(dir)
	overlay, err := r.overlay(dir, patch, m.files)
	if err != nil {
		return c, err
	}
	if err := r.pass(ctx, &m.test); err != nil {
		return c, fmt.Errorf("the command fails without the mutant: %w", err)
	}
	binary := filepath.Join(dir, "mutated.test")
	if out, err := r.build(ctx, &m.test, binary, "-overlay", overlay); err != nil {
		return c, fmt.Errorf("does not build: %w\n%s", err, tail(out))
	}
	out, err := r.play(ctx, &m.test, binary)
	var exit *exec.ExitError
	switch {
	case err == nil:
		return c, fmt.Errorf("survived: %s", m.title)
	case timedOut.Match(out):
		return c, fmt.Errorf("timed out: %s", m.title)
	case !errors.As(err, &exit):
		return c, err
	}
	c.title = m.title
	if found := seed.FindSubmatch(out); found != nil {
		c.seed, _ = strconv.Atoi(string(found[1])) // digits
	}
	return c, nil
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

// pass runs a test without any mutant, once for all mutants that share it.
func (r *runner) pass(ctx context.Context, t *test) error {
	key := t.key() + " " + strings.Join(t.args, " ")
	r.mu.Lock()
	passes := r.passes[key]
	if passes == nil {
		passes = sync.OnceValue(func() error {
			binary, err := r.sound(ctx, t)
			if err != nil {
				return err
			}
			out, err := r.play(ctx, t, binary)
			switch {
			case err != nil:
				return fmt.Errorf("%s: %w\n%s", key, err, tail(out))
			case noTest.Match(out):
				return fmt.Errorf("%s: there is no such test", key)
			}
			return nil
		})
		r.passes[key] = passes
	}
	r.mu.Unlock()
	return passes()
}

// sound is the test binary of the tree as it is, one for all tests of a package.
func (r *runner) sound(ctx context.Context, t *test) (string, error) {
	key := t.key()
	r.mu.Lock()
	builds := r.builds[key]
	if builds == nil {
		binary := filepath.Join(r.dir, fmt.Sprintf("sound%d.test", len(r.builds)))
		builds = sync.OnceValues(func() (string, error) {
			out, err := r.build(ctx, t, binary)
			if err != nil {
				err = fmt.Errorf("build the tests of %s: %w\n%s", t.dir, err, tail(out))
			}
			return binary, err
		})
		r.builds[key] = builds
	}
	r.mu.Unlock()
	return builds()
}

// build makes the test binary of a package. Nobody debugs it, and compiling and linking is most of the time that a
// mutant takes: its package is compiled without inlining, and the tree was vetted.
func (r *runner) build(ctx context.Context, t *test, binary string, flags ...string) ([]byte, error) {
	args := slices.Concat([]string{"test", "-c", "-vet=off", "-gcflags=-l", "-ldflags=-s -w", "-tags", t.tags, "-o", binary}, flags)
	return r.run(ctx, r.root, "go", append(args, "./"+t.dir)...)
}

// play runs a test binary, where go test would.
func (r *runner) play(ctx context.Context, t *test, binary string) ([]byte, error) {
	return r.run(ctx, filepath.Join(r.root, filepath.FromSlash(t.dir)), binary, t.args...)
}

// mostMemory is what a mutant may take, in KiB of addresses: one that goes round without end while it allocates must
// not stop the machine.
const mostMemory = 8 << 20

func (r *runner) run(ctx context.Context, dir, program string, args ...string) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, r.limit)
	defer cancel()
	bounded := fmt.Sprintf(`ulimit -v %d; exec "$0" "$@"`, mostMemory)
	c := exec.CommandContext(ctx, "sh", append([]string{"-c", bounded, program}, args...)...)
	c.Dir = dir
	c.Env = append(os.Environ(), "LOCKSTEP_SHRINK=0s") // a recording of a mutant would stay in the tree
	out, err := c.CombinedOutput()
	if ctx.Err() != nil {
		return out, fmt.Errorf("%s: %w after %v", program, ctx.Err(), r.limit)
	}
	return out, err
}

// tail is the end of a command's output.
func tail(out []byte) string {
	lines := strings.Split(strings.TrimSpace(string(out)), "\n")
	return strings.Join(lines[max(0, len(lines)-20):], "\n")
}
