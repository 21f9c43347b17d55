package cli

import "syscall"

// ownGroup keeps a terminal's Ctrl-C from a replica, which lockstep up stops in its turn, and ends a
// replica with its parent.
func ownGroup() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGTERM}
}
