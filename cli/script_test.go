package cli

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/lockstep-rsm/lockstep"
	"github.com/lockstep-rsm/lockstep/internal/freeport"
	"github.com/lockstep-rsm/lockstep/machine"
	"github.com/lockstep-rsm/lockstep/machine/kv"
	"github.com/lockstep-rsm/lockstep/sim"
	"github.com/lockstep-rsm/lockstep/sim/workload"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){
		"lockstep": func() {
			broken := workload.Counter()
			broken.Check = func(machine.View) error { return errors.New("never right") }
			p := Program{
				Version: "test", Out: os.Stdout, Err: os.Stderr, Getenv: os.Getenv, Environ: os.Environ,
				Loads: map[string]sim.Options{"kv": workload.KV(), "counter": workload.Counter(), "broken": broken, "stale": stale()},
			}
			if os.Getenv("NO_SIMULATOR") != "" {
				p.Loads = nil
			}
			os.Exit(p.Run(os.Args[1:]))
		},
	})
}

// stale is the key-value store with a bug: a replica shows the state as it was a batch before. Its client puts, then gets.
func stale() sim.Options {
	o := workload.KV()
	o.Clients = 1
	o.Client = func(ctx context.Context, c *sim.Client) {
		get, _ := (&kv.Op{Range: &kv.Range{Key: []byte("k")}}).AppendBinary(nil)
		for n := 0; ctx.Err() == nil; n++ {
			put, _ := (&kv.Op{Put: &kv.Put{Key: []byte("k"), Value: fmt.Appendf(nil, "%d.%d", c.N, n)}}).AppendBinary(nil)
			_, _ = c.Propose(ctx, put)
			_, _ = c.Read(ctx, get, lockstep.ReadOptions{})
			c.Sleep(100 * time.Millisecond)
		}
	}
	inner := o.Machine.New
	o.Machine.New = func(p *machine.Place) (machine.StateMachine, error) {
		m, err := inner(p)
		if err != nil || p.Dir == "witness" {
			return m, err
		}
		return &late{StateMachine: m, view: m.View()}, nil
	}
	return o
}

type late struct {
	machine.StateMachine
	view machine.View
}

func (l *late) Apply(batch []machine.Command, out *machine.Results) error {
	l.view = l.StateMachine.View()
	return l.StateMachine.Apply(batch, out)
}

func (l *late) View() machine.View { return l.view }

// TestScripts runs testdata/*.txtar: what a person types, and what is answered.
//
//	exits CODE command…       runs it and checks the exit code
//	eventually CODE command…  runs it until it gives the code, at most 20 s
//	until REGEXP command…     runs it until its output matches, at most 20 s
//	occupy ADDR               listens there until the script ends
//	slay ADDR                 kills the server there with -9
//	vanish DURATION           checks that no endpoint listens any more within it
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:   "testdata",
		Setup: givePorts,
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"exits":      func(ts *testscript.TestScript, _ bool, args []string) { runsTo(ts, args) },
			"eventually": func(ts *testscript.TestScript, _ bool, args []string) { eventually(ts, args) },
			"until":      func(ts *testscript.TestScript, _ bool, args []string) { until(ts, args) },
			"occupy":     func(ts *testscript.TestScript, _ bool, args []string) { occupy(ts, args[0]) },
			"slay":       func(ts *testscript.TestScript, _ bool, args []string) { slay(ts, args[0]) },
			"vanish":     func(ts *testscript.TestScript, _ bool, args []string) { vanish(ts, args[0]) },
		},
	})
}

func code(ts *testscript.TestScript, args []string) int {
	err := ts.Exec(args[0], args[1:]...)
	var ended *exec.ExitError
	if errors.As(err, &ended) {
		return ended.ExitCode()
	}
	ts.Check(err)
	return 0
}

func runsTo(ts *testscript.TestScript, args []string) {
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	if got := code(ts, args[1:]); got != want {
		ts.Fatalf("exit code is %d, want %d", got, want)
	}
}

func eventually(ts *testscript.TestScript, args []string) {
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	repeat(ts, "exits with "+args[0], func() bool { return code(ts, args[1:]) == want })
}

func until(ts *testscript.TestScript, args []string) {
	want, err := regexp.Compile(args[0])
	ts.Check(err)
	repeat(ts, "prints "+args[0], func() bool {
		code(ts, args[1:])
		return want.MatchString(ts.ReadFile("stdout"))
	})
}

// repeat tries ten times a second, for 20 s.
func repeat(ts *testscript.TestScript, what string, is func() bool) {
	deadline := time.NewTimer(20 * time.Second)
	defer deadline.Stop()
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for !is() {
		select {
		case <-tick.C:
		case <-deadline.C:
			ts.Fatalf("wait until it %s: it did not within 20 s", what)
		}
	}
}

func occupy(ts *testscript.TestScript, addr string) {
	l, err := net.Listen("tcp", addr)
	ts.Check(err)
	ts.Defer(func() { _ = l.Close() })
}

func slay(ts *testscript.TestScript, addr string) {
	p := Program{timeout: 5 * time.Second}
	s, err := p.hostStatus(context.Background(), addr)
	ts.Check(err)
	ts.Check(syscall.Kill(s.PID, syscall.SIGKILL))
}

func vanish(ts *testscript.TestScript, within string) {
	d, err := time.ParseDuration(within)
	ts.Check(err)
	deadline := time.NewTimer(d)
	defer deadline.Stop()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		listening := ""
		for _, addr := range strings.Split(ts.Getenv("LOCKSTEP_ENDPOINTS"), ",") {
			if c, err := net.Dial("tcp", addr); err == nil {
				_ = c.Close()
				listening = addr
			}
		}
		if listening == "" {
			return
		}
		select {
		case <-tick.C:
		case <-deadline.C:
			ts.Fatalf("%s still listens after %s", listening, within)
		}
	}
}

// givePorts finds two ports that are free with all that follow from them, so that scripts may run at
// once: CLIENT, CLIENT2, CLIENT3, HOST, HOST2, HOST3. The system gives none of them to the near end of a
// connection, as it does above 32767. CLIENT4 and HOST4 are whole addresses, for a server that up does not
// start.
func givePorts(e *testscript.Env) error {
	for range 50 {
		first := 1100 + 2*rand.IntN(800)
		var ports []string
		for _, port := range []int{first, first + 1} {
			for n := range 3 {
				addr := address(port, n)
				l, err := net.Listen("tcp", addr)
				if err != nil {
					break
				}
				_ = l.Close()
				_, port, _ := net.SplitHostPort(addr)
				ports = append(ports, port)
			}
		}
		if _, taken := given.LoadOrStore(first, true); taken || len(ports) < 6 {
			continue
		}
		fourth, err := freeport.Addrs(2)
		if err != nil {
			return err
		}
		for i, name := range []string{"CLIENT", "CLIENT2", "CLIENT3", "HOST", "HOST2", "HOST3"} {
			e.Setenv(name, ports[i])
		}
		e.Setenv("CLIENT4", fourth[0])
		e.Setenv("HOST4", fourth[1])
		e.Setenv("LOCKSTEP_ENDPOINTS", fmt.Sprintf("127.0.0.1:%s,127.0.0.1:%s,127.0.0.1:%s", ports[0], ports[1], ports[2]))
		return nil
	}
	return errors.New("find free ports: none in 50 tries")
}

// given are the first ports of all scripts.
var given sync.Map
