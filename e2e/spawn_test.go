package e2e

import (
	"os/exec"
	"runtime"
	"sync"
	"syscall"
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

// spawn starts a command that does not outlive the test's process.
func spawn(c *exec.Cmd) error {
	if c.SysProcAttr == nil {
		c.SysProcAttr = &syscall.SysProcAttr{}
	}
	c.SysProcAttr.Pdeathsig = syscall.SIGKILL
	done := make(chan error)
	spawner() <- func() { done <- c.Start() }
	return <-done
}
