package lockstep_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"time"

	"github.com/lockstep-rsm/lockstep"
	"github.com/lockstep-rsm/lockstep/machine"
	"github.com/lockstep-rsm/lockstep/machine/counter"
)

// alone is a host without a network, with group 1: what examples need.
func alone(ctx context.Context) (group *lockstep.Group, done func()) {
	dir, err := os.MkdirTemp("", "lockstep-example")
	check(err)
	host, err := lockstep.Open(ctx, lockstep.Options{
		Dir: dir, Machines: map[string]machine.Kind{"counter": counter.Machine.Kind()},
		WALSegmentBytes: 1 << 20, MaxWALBytes: 16 << 20, Logger: slog.New(slog.DiscardHandler),
	})
	check(err)
	group, err = host.Create(ctx, 1, lockstep.GroupOptions{Machine: "counter"})
	check(err)
	return group, func() {
		check(host.Shutdown(ctx))
		check(os.RemoveAll(dir))
	}
}

func check(err error) {
	if err != nil {
		panic(err)
	}
}

func ExampleOutcomeOf() {
	ctx := context.Background()
	group, done := alone(ctx)
	defer done()

	_, err := lockstep.Typed(group, counter.Machine).Propose(ctx, counter.Add{N: -1})
	switch lockstep.OutcomeOf(err) {
	case lockstep.Committed: // for ever; an error then is the machine's refusal, or says why there is no plain result
		fmt.Println("decided:", err)
	case lockstep.NotCommitted: // it never runs: propose it again, or tell the user no
		fmt.Println("not done:", err)
	case lockstep.Unknown: // it may run yet: never propose it again as a new command
		fmt.Println("ask the machine what became of it:", err)
	}
	// Output: decided: counter would be negative
}

func ExampleGroup_Read() {
	ctx := context.Background()
	group, done := alone(ctx)
	defer done()
	_, err := lockstep.Typed(group, counter.Machine).Propose(ctx, counter.Add{N: 2})
	check(err)
	client := lockstep.Typed(group, counter.Machine)

	n, err := client.Read(ctx, counter.Get{}, lockstep.ReadOptions{}) // linearizable
	check(err)
	fmt.Println(n)
	n, err = client.Read(ctx, counter.Get{}, lockstep.ReadOptions{Level: lockstep.Stale, MaxAge: time.Second})
	check(err)
	fmt.Println(n)
	// Output:
	// 2
	// 2
}

func ExampleGroup_ProposeAs() {
	ctx := context.Background()
	group, done := alone(ctx)
	defer done()
	command, err := counter.Machine.EncodeCommand(counter.Add{N: 5})
	check(err)
	store := func(lockstep.Token) {}

	token, err := group.NewToken()
	check(err)
	store(token) // with the command, where the client finds it after a crash
	_, err = group.ProposeAs(ctx, token, command)
	check(err)

	// After a crash nobody knows whether that was done. This settles it, for good:
	_, err = group.Lookup(ctx, token)
	switch {
	case err == nil:
		fmt.Println("it ran, once; this is its result")
	case errors.Is(err, lockstep.ErrNever):
		fmt.Println("it has not run, and never will")
	default:
		fmt.Println("ask again:", err)
	}
	// Output: it ran, once; this is its result
}

func ExampleGroup_Session() {
	ctx := context.Background()
	group, done := alone(ctx)
	defer done()

	session, err := group.Session(ctx)
	check(err)
	n, err := lockstep.Typed(session, counter.Machine).Propose(ctx, counter.Add{N: 3}) // sent again until it is answered, run once
	check(err)
	fmt.Println(n)
	check(session.Close(ctx))
	_, err = session.Propose(ctx, nil)
	fmt.Println(errors.Is(err, lockstep.ErrEvicted), lockstep.OutcomeOf(err))
	// Output:
	// 3
	// true not committed
}

func ExampleClient_Seen() {
	ctx := context.Background()
	group, done := alone(ctx)
	defer done()
	client := lockstep.Typed(group, counter.Machine)
	_, err := client.Propose(ctx, counter.Add{N: 2})
	check(err)

	// Another process, which is told the index, reads what this one has written, without a round to a majority.
	elsewhere := lockstep.Typed(group, counter.Machine)
	n, err := elsewhere.Read(ctx, counter.Get{}, lockstep.ReadOptions{Level: lockstep.AtLeast, After: client.Seen()})
	check(err)
	fmt.Println(n)
	// Output: 2
}

func ExampleGroup_Wait() {
	ctx := context.Background()
	group, done := alone(ctx)
	defer done()
	client := lockstep.Typed(group, counter.Machine)
	_, err := client.Propose(ctx, counter.Add{N: 2})
	check(err)

	// A watch: wait until more is executed than was seen, and look at the state as of then.
	applied, err := group.Wait(ctx, client.Seen()-1)
	check(err)
	view, index, err := group.View(ctx, lockstep.ReadOptions{Level: lockstep.AtLeast, After: applied})
	check(err)
	defer view.Close()
	fmt.Println(index >= client.Seen())
	// Output: true
}

func ExampleGroup_Start() {
	ctx := context.Background()
	group, done := alone(ctx)
	defer done()
	one, err := counter.Machine.EncodeCommand(counter.Add{N: 1})
	check(err)

	calls := make([]lockstep.Call, 100) // all of them are under way at once
	for i := range calls {
		check(group.Start(one, &calls[i]))
	}
	var last lockstep.Result
	for i := range calls {
		last, err = calls[i].Wait(ctx)
		check(err)
	}
	n, err := counter.Machine.DecodeReply(last.Data)
	check(err)
	fmt.Println(n)
	// Output: 100
}

func ExampleGroup_Reconfigure() {
	ctx := context.Background()
	group, done := alone(ctx)
	defer done()

	configuration, err := group.Configuration(ctx)
	check(err)
	stale := configuration
	configuration.Settings.MaxSessions = 100
	_, err = group.Reconfigure(ctx, configuration)
	check(err)
	_, err = group.Reconfigure(ctx, stale) // made from what is no more in force
	fmt.Println(errors.Is(err, lockstep.ErrRefused), lockstep.OutcomeOf(err))
	// Output: true not committed
}
