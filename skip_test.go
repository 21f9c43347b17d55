package lockstep_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/lockstep-rsm/lockstep"
	"github.com/lockstep-rsm/lockstep/env"
	"github.com/lockstep-rsm/lockstep/machine"
	"github.com/lockstep-rsm/lockstep/sim/world"
)

// poisoned panics at one command, unless the machine is mended.
func poisoned(mended *bool) func(int) func(*ledger, string) int64 {
	return func(int) func(*ledger, string) int64 {
		return func(l *ledger, cmd string) int64 {
			if cmd == "poison" && !*mended {
				l.sum = -1 // what it leaves behind is half done
				panic("planted")
			}
			return 0
		}
	}
}

// stoppedAt waits until hosts are quarantined at one command, and gives its place and the file that has it.
func (c *island) stoppedAt(hosts ...int) (at lockstep.Skip, dump string) {
	for _, i := range hosts {
		if !c.until("it is quarantined", func() bool { return c.hosts[i].Group(1).Status().State == "quarantined" }) {
			return at, ""
		}
		at = lockstep.Skip{}
		for _, word := range strings.Fields(c.hosts[i].Group(1).Status().Why) {
			if name, ok := strings.CutPrefix(word, "data/quarantine/1-"); ok {
				dump = word
				name, _, _ = strings.Cut(name, "-")
				if _, err := scanPlace(name, &at); err != nil {
					c.t.Errorf("%s names no command: %v", word, err)
				}
			}
		}
		if at.Index == 0 {
			c.t.Errorf("host %d names no file: %s", i, c.hosts[i].Group(1).Status().Why)
		}
	}
	return at, dump
}

func (c *island) skip(i int, at lockstep.Skip) error {
	err := errDied
	c.w.Do(i, func() {
		ctx, cancel := c.w.WithTimeout(c.w.Context(), 30*time.Second)
		defer cancel()
		var conf lockstep.Configuration
		if conf, err = c.hosts[i].Group(1).Configuration(ctx); err != nil {
			return
		}
		conf.Settings.Skip = at
		_, err = c.hosts[i].Group(1).Reconfigure(ctx, conf)
	})
	return err
}

func (c *island) restart(i int) {
	if c.w.Alive(i) {
		c.w.Kill(i)
	}
	c.w.Start(i)
	if err := c.start(i); err != nil {
		c.t.Errorf("open host %d: %v", i, err)
	}
}

// A command that no machine can execute stops every replica of its group at it, and nothing else: its bytes are in
// a file, other groups live, restarts change nothing. An operator's word to pass over it is in the log: every
// replica takes it, those too that come to the command only now; its session's caller is told so, and all that
// came before and after it stands (H28).
func TestPoisonIsPassedOverByAnOperatorsWord(t *testing.T) {
	for _, early := range []bool{false, true} {
		mended := false
		ledgers(t, 71, 3, poisoned(&mended), func(c *island, _ *watcher) {
			if _, err := c.create(0, 2, 10*time.Second); err != nil {
				t.Error(err)
			}
			for range 10 {
				_, _ = c.say(0, "1")
			}
			for i := 0; early && i < len(c.hosts); i++ {
				if err := c.snapshot(i); err != nil {
					t.Error(err)
				}
			}
			behind := (c.leader(1) + 1) % 3
			others := []int{(behind + 1) % 3, (behind + 2) % 3}
			c.w.Kill(behind)
			at := c.poison(others)
			if at.Index == 0 {
				return
			}
			c.restart(others[1])
			c.stoppedAt(others...)
			c.refusesToSkip(at, behind, others[0])
			c.until("it is passed over", func() bool { return c.skip(others[0], at) == nil })
			if !c.until("all serve", func() bool { return c.all(10) }) {
				return
			}
			if n, err := c.say(behind, "5"); err != nil || n != 15 {
				t.Errorf("a write after that: %d, %v", n, err)
			}
			if err := c.snapshot(others[0]); err != nil {
				t.Errorf("a snapshot after that, whose digest all have: %v", err)
			}
			for i := range c.hosts {
				c.restart(i)
				c.until("it serves after a restart", func() bool { return c.all(15) })
			}
		})
	}
}

// poison stops group 1 at a command of a session on the first of the hosts, which are all that run.
func (c *island) poison(hosts []int) lockstep.Skip {
	s := c.session(hosts[0])
	answer := errDied
	c.w.Do(hosts[0], func() {
		ctx, cancel := c.w.WithTimeout(c.w.Context(), 2*time.Second)
		defer cancel()
		_, answer = s.Propose(ctx, []byte("poison"))
	})
	if lockstep.OutcomeOf(answer) != lockstep.Unknown || !errors.Is(answer, lockstep.ErrQuarantined) {
		c.t.Errorf("its caller is told %v", answer)
	}
	at, dump := c.stoppedAt(hosts...)
	if at.Index == 0 {
		return at
	}
	c.until("its bytes are in the file", func() bool { return string(c.w.Disk(hosts[0]).Medium(dump)) == "poison" })
	if _, err := c.say(hosts[0], "1"); !errors.Is(err, lockstep.ErrQuarantined) || lockstep.OutcomeOf(err) != lockstep.NotCommitted {
		c.t.Errorf("a call on a quarantined replica: %v", err)
	}
	if _, err := c.add(hosts[0], 2, 5*time.Second); err != nil {
		c.t.Errorf("the other group: %v", err)
	}
	return at
}

// refusesToSkip: nobody may have had an answer, and all have to say so. It starts the one that is down.
func (c *island) refusesToSkip(at lockstep.Skip, down, asked int) {
	c.until("passing over it is refused while one host is down", func() bool {
		err := c.skip(asked, at)
		return errors.Is(err, lockstep.ErrRefused) && strings.Contains(err.Error(), "does not answer")
	})
	c.restart(down)
	for _, other := range []lockstep.Skip{{Index: at.Index - 1}, {Index: at.Index + 1000}} {
		if err := c.skip(asked, other); !errors.Is(err, lockstep.ErrRefused) {
			c.t.Errorf("command %d.%d, that was executed or is not in the log, is passed over: %v", other.Index, other.Ordinal, err)
		}
	}
}

// The caller whose command was passed over is told so when it asks again, on any host.
func TestCallerOfASkippedCommandIsTold(t *testing.T) {
	mended := false
	ledgers(t, 72, 3, poisoned(&mended), func(c *island, _ *watcher) {
		_, _ = c.say(0, "1")
		token := c.drawToken(0)
		_, _ = c.under(0, 2*time.Second, func(ctx context.Context, g *lockstep.Group) (lockstep.Result, error) {
			return g.ProposeAs(ctx, token, []byte("poison"))
		})
		at, _ := c.stoppedAt(0, 1, 2)
		if err := c.skip(1, at); err != nil {
			t.Error(err)
		}
		if !c.until("all serve", func() bool { return c.all(1) }) {
			return
		}
		for i := range c.hosts {
			if _, err := c.lookup(i, token, 10*time.Second); !errors.Is(err, machine.Skipped) || lockstep.OutcomeOf(err) != lockstep.Committed {
				t.Errorf("its caller is told on host %d: %v", i, err)
			}
		}
	})
}

// A replica that comes to the command when the word is known to be committed passes over it without having tried.
func TestReplicaThatComesLaterPassesOverWithoutTrying(t *testing.T) {
	mended := false
	tried := [3]int{}
	inner := poisoned(&mended)
	bend := func(host int) func(*ledger, string) int64 {
		f := inner(host)
		return func(l *ledger, cmd string) int64 {
			if cmd == "poison" {
				tried[host]++
			}
			return f(l, cmd)
		}
	}
	ledgers(t, 73, 3, bend, func(c *island, _ *watcher) {
		_, _ = c.say(0, "4")
		behind := (c.leader(1) + 1) % 3
		others := []int{(behind + 1) % 3, (behind + 2) % 3}
		id := c.hosts[behind].ID()
		c.reconfigure(behind, 1, func(conf *lockstep.Configuration) {
			conf.Voters = slices.DeleteFunc(conf.Voters, func(h lockstep.HostID) bool { return h == id })
		})
		_, _ = c.say(others[0], "poison")
		at, _ := c.stoppedAt(others...)
		if at.Index == 0 {
			return
		}
		c.until("it is passed over", func() bool { return c.skip(others[0], at) == nil })
		c.reconfigure(others[0], 1, func(conf *lockstep.Configuration) { conf.Voters = append(conf.Voters, id) })
		c.until("all serve", func() bool { return c.all(4) })
		if tried[behind] != 0 {
			t.Errorf("it tried %d times", tried[behind])
		}
	})
}

// A mended machine goes on at the command that its former build could not execute, host by host, and then the
// command cannot be passed over any more: somebody has its result.
func TestMendedMachineGoesOnAtThePoison(t *testing.T) {
	mended := false
	ledgers(t, 74, 3, poisoned(&mended), func(c *island, _ *watcher) {
		_, _ = c.say(0, "4")
		_, _ = c.say(0, "poison")
		at, _ := c.stoppedAt(0, 1, 2)
		mended = true
		c.restart(1)
		if !c.until("the first one serves", func() bool {
			n, err := c.hear(1)
			return err == nil && n == 4
		}) {
			return
		}
		if err := c.skip(1, at); !errors.Is(err, lockstep.ErrRefused) || !strings.Contains(err.Error(), "executed") {
			t.Errorf("what was executed is passed over: %v", err)
		}
		c.restart(0)
		c.restart(2)
		c.until("all serve", func() bool { return c.all(4) })
		if n, err := c.say(2, "3"); err != nil || n != 7 {
			t.Errorf("a write after that: %d, %v", n, err)
		}
	})
}

// undecided has the machine panic at one command, unless it is mended, which then adds 100.
func undecided(mended *bool) func(int) func(*ledger, string) int64 {
	inner := poisoned(mended)
	return func(host int) func(*ledger, string) int64 {
		f := inner(host)
		return func(l *ledger, cmd string) int64 {
			add := f(l, cmd)
			if cmd == "poison" {
				add = 100
			}
			return add
		}
	}
}

// What a mended build executed here, and clients saw, is not passed over after a restart with the former build,
// which stops at it again: a note on the disk says that it was executed (H28).
func TestWhatAnEarlierBuildExecutedIsNotPassedOver(t *testing.T) {
	mended := false
	ledgers(t, 76, 3, undecided(&mended), func(c *island, _ *watcher) {
		_, _ = c.say(0, "4")
		_, _ = c.say(0, "poison")
		at, dump := c.stoppedAt(0, 1, 2)
		if at.Index == 0 {
			return
		}
		c.until("its bytes are in the file", func() bool { return string(c.w.Disk(1).Medium(dump)) == "poison" })
		mended = true
		c.restart(1)
		if !c.until("the first one serves", func() bool { n, err := c.hear(1); return err == nil && n == 104 }) {
			return
		}
		mended = false
		for range 2 {
			c.restart(1)
			c.stoppedAt(0, 1, 2)
			if err := c.skip(0, at); !errors.Is(err, lockstep.ErrRefused) || !strings.Contains(err.Error(), "before it was restarted") {
				t.Errorf("what a client saw is passed over: %v", err)
			}
		}
		mended = true
		for i := range c.hosts {
			c.restart(i)
		}
		c.until("all serve what was seen", func() bool { return c.all(104) })
	})
}

// passedOver has all hosts stop at a command behind 4, and pass over it: which one, and whether all serve then.
func (c *island) passedOver() (at lockstep.Skip, ok bool) {
	_, _ = c.say(0, "4")
	_, _ = c.say(0, "poison")
	at, _ = c.stoppedAt(0, 1, 2)
	if err := c.skip(1, at); err != nil {
		c.t.Error(err)
	}
	return at, c.until("all serve", func() bool { return c.all(4) })
}

// Nobody sees what came of a command at which a machine had failed before the note of that is on the disk: where the
// disk is full that is waited for, while other groups are served (H15), and where it fails the machine is made anew, until the note is there (H28).
func TestNobodySeesWhatIsNotNoted(t *testing.T) {
	for i, refusal := range []error{syscall.ENOSPC, syscall.EIO} {
		notNoted(t, uint64(79+i), refusal)
	}
}

func notNoted(t *testing.T, seed uint64, refusal error) {
	t.Helper()
	mended := false
	ledgers(t, seed, 3, undecided(&mended), func(c *island, w *watcher) {
		_, _ = c.say(0, "4")
		_, _ = c.say(0, "poison")
		_, dump := c.stoppedAt(0, 1, 2)
		if !c.until("its bytes are in the file", func() bool { return string(c.w.Disk(1).Medium(dump)) == "poison" }) {
			return
		}
		refused := 0
		c.w.Disk(1).Hook = func(_ world.Op, name string) error {
			if strings.HasSuffix(name, ".executed") {
				refused++
				return refusal
			}
			return nil
		}
		mended = true
		unfit := w.counts[1][env.ReplicaUnfit]
		c.restart(1)
		c.until("the disk has refused the note three times", func() bool {
			if n, err := c.hear(1); err == nil {
				t.Errorf("host 1 says %d", n)
			}
			return refused >= 3
		})
		if _, err := c.currentPeers(1); err != nil && refusal == syscall.ENOSPC { // on its only lane
			t.Errorf("group 0 does not answer there meanwhile: %v", err)
		}
		if n := w.counts[1][env.ReplicaUnfit] - unfit; refusal == syscall.ENOSPC && n > 0 {
			t.Errorf("a full disk took the machine out of service %d times", n)
		}
		c.w.Disk(1).Hook = nil
		c.until("it serves", func() bool { n, err := c.hear(1); return err == nil && n == 104 })
		if notes := slices.DeleteFunc(c.w.Disk(1).Names("data/quarantine"), func(name string) bool { return !strings.HasSuffix(name, ".executed") }); len(notes) != 1 {
			t.Errorf("notes: %v", notes)
		}
	})
}

// Nothing is passed over while a member is on its way to the command, and may execute it: somebody may have its
// answer by the time that the word is in the log (H28).
func TestNothingIsPassedOverThatAMemberMayYetExecute(t *testing.T) {
	mended := false
	var world *island
	inner := undecided(&mended)
	bend := func(host int) func(*ledger, string) int64 {
		f := inner(host)
		return func(l *ledger, cmd string) int64 {
			if cmd == "poison" && mended { // it takes its time
				e := world.w.Host(host)
				_ = e.NewWaiter().Wait(nil, e.Clock().Now()+5*time.Second) //nolint:staticcheck // nobody wakes it
			}
			return f(l, cmd)
		}
	}
	ledgers(t, 77, 3, bend, func(c *island, _ *watcher) {
		world = c
		_, _ = c.say(0, "4")
		_, _ = c.say(0, "poison")
		at, _ := c.stoppedAt(0, 1, 2)
		if at.Index == 0 {
			return
		}
		mended = true
		c.restart(1)
		c.until("passing over it is refused while one replays towards it", func() bool {
			err := c.skip(0, at)
			return errors.Is(err, lockstep.ErrRefused) && strings.Contains(err.Error(), "may execute it yet")
		})
		if !c.until("it has executed it", func() bool { n, err := c.hear(1); return err == nil && n == 104 }) {
			return
		}
		if err := c.skip(0, at); !errors.Is(err, lockstep.ErrRefused) || !strings.Contains(err.Error(), "has executed") {
			t.Errorf("what was executed is passed over: %v", err)
		}
	})
}

// What was passed over stays so where a mended build comes to it again from the log: it passes over it too. One that
// executed it before it knew would be made anew (H28).
func TestMendedMachineThatComesToASkippedCommandAgainPassesOverIt(t *testing.T) {
	mended := false
	ledgers(t, 78, 3, undecided(&mended), func(c *island, _ *watcher) {
		if _, ok := c.passedOver(); !ok {
			return
		}
		mended = true
		for i := range c.hosts {
			c.restart(i)
			if !c.until("it serves", func() bool {
				n, err := c.hear(i)
				if err == nil && n != 4 {
					t.Errorf("host %d says %d", i, n)
				}
				return err == nil
			}) {
				return
			}
		}
		c.until("all serve", func() bool { return c.all(4) })
	})
}

// Of a batch, the command at which the machine fails is found: one at a time, from the start.
func TestPoisonWithinABatchIsNamed(t *testing.T) {
	mended := false
	ledgers(t, 75, 3, poisoned(&mended), func(c *island, _ *watcher) {
		c.w.Do(0, func() {
			var calls [9]lockstep.Call
			for i := range calls {
				cmd := "1"
				if i == 6 {
					cmd = "poison"
				}
				if err := c.hosts[0].Group(1).Start([]byte(cmd), &calls[i]); err != nil {
					t.Error(err)
				}
			}
			ctx, cancel := c.w.WithTimeout(c.w.Context(), 5*time.Second)
			defer cancel()
			for i := range calls {
				_, _ = calls[i].Wait(ctx)
			}
		})
		at, dump := c.stoppedAt(0, 1, 2)
		if at.Index == 0 {
			return
		}
		c.until("the file has that command alone", func() bool { return string(c.w.Disk(1).Medium(dump)) == "poison" })
		if err := c.skip(2, at); err != nil {
			t.Error(err)
		}
		c.until("the others of the batch are executed", func() bool { return c.all(8) })
	})
}

// scanPlace reads index.ordinal.
func scanPlace(text string, at *lockstep.Skip) (int, error) {
	index, ordinal, _ := strings.Cut(text, ".")
	var i, o uint64
	for _, d := range index {
		i = 10*i + uint64(d-'0')
	}
	for _, d := range ordinal {
		o = 10*o + uint64(d-'0')
	}
	at.Index, at.Ordinal = lockstep.Index(i), uint32(o)
	if i == 0 {
		return 0, errors.New("no index")
	}
	return 2, nil
}
