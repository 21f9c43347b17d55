//go:build unix && !linux

package cli

import "syscall"

// ownGroup keeps a terminal's Ctrl-C from a replica, which lockstep up stops in its turn.
func ownGroup() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setpgid: true} }
