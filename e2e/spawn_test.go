package e2e

import (
	"errors"
	"os"
	"os/exec"
	"runtime"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"
)

// spawner starts processes on one thread that lives as long as the test's process: the kernel kills
// them when the thread that started them ends, and Go may end any other.
var spawner = sync.OnceValue(func() chan<- func() {
	work := make(chan func())
	go func() {
		runtime.LockOSThread()
		for f := range work {
			f()
		}
	}()
	return work
})

// spawn starts a command that does not outlive the test's process, in a place if there is one.
func spawn(c *exec.Cmd, at *place) error {
	if c.SysProcAttr == nil {
		c.SysProcAttr = &syscall.SysProcAttr{}
	}
	c.SysProcAttr.Pdeathsig = syscall.SIGKILL
	done := make(chan error)
	spawner() <- func() { done <- startIn(c, at) }
	return <-done
}

// startIn starts a command in a place, and brings the thread back to where it was: where the process's first thread
// is does not tell, as that may be one that onThread has used up.
func startIn(c *exec.Cmd, at *place) error {
	if at == nil {
		return c.Start()
	}
	here, err := os.Open("/proc/thread-self/ns/net")
	if err != nil {
		return err
	}
	defer here.Close()
	if err := unix.Setns(int(at.ns.Fd()), unix.CLONE_NEWNET); err != nil {
		return err
	}
	return errors.Join(c.Start(), unix.Setns(int(here.Fd()), unix.CLONE_NEWNET))
}
