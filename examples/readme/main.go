// Command readme is the program of the README: a counter, replicated on three hosts.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/lockstep-rsm/lockstep"
	"github.com/lockstep-rsm/lockstep/machine"
)

type (
	State struct{ N int64 } // what is replicated
	Add   struct{ N int64 } // a command
	Get   struct{}          // a query
)

var counter = machine.Define(
	func(s *State, c Add, _ *machine.Command) (int64, error) { s.N += c.N; return s.N, nil },
	func(s *State, _ Get) (int64, error) { return s.N, nil },
)

func main() { // start it three times: with 127.0.0.1:7001, and with :7002 and :7003
	if len(os.Args) != 2 {
		check(errors.New("usage: readme 127.0.0.1:7001, and with :7002 and :7003 in two more terminals"))
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	host, err := lockstep.Open(ctx, lockstep.Options{
		Dir:      "data-" + os.Args[1],
		Addr:     os.Args[1],
		Founders: []string{"127.0.0.1:7001", "127.0.0.1:7002", "127.0.0.1:7003"},
		Machines: map[string]machine.Kind{"counter": counter.Kind()},
	})
	check(err)
	group, err := host.Create(ctx, 1, lockstep.GroupOptions{Machine: "counter"}) // founds it once, finds it ever after
	check(err)
	n, err := lockstep.Typed(group, counter).Propose(ctx, Add{1}) // synced on two of three disks before it returns
	check(err)
	fmt.Println("counter is", n)
	<-ctx.Done()                               // serve on until Ctrl-C
	check(host.Shutdown(context.Background())) // hand leadership over, close
}

func check(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, "error:", err)
		os.Exit(1)
	}
}
