// Package freeport gives tests ports that nobody takes from them.
//
// A test that listens on port 0, closes, and hands the number on loses it now and then to another
// process: to a test of another package that does the same, or to the near end of any connection. Every
// process has an address of its own here, out of 127.0.0.0/8, and no connection begins there.
//
// Promises: addresses that one process gets are no other living process's, and those of one call differ.
// It is for tests and load generators; servers listen where they are told to.
package freeport

import (
	"fmt"
	"net"
	"os"
)

// Addrs finds n addresses, host:port, that nobody listens on. Systems that have no loopback address but
// 127.0.0.1, such as macOS, get free ports of that one.
func Addrs(n int) ([]string, error) {
	host := own(os.Getpid())
	addrs := make([]string, n)
	for i := range addrs {
		l, err := net.Listen("tcp", net.JoinHostPort(host, "0"))
		if err != nil && i == 0 && host != shared {
			host = shared
			l, err = net.Listen("tcp", net.JoinHostPort(host, "0"))
		}
		if err != nil {
			return nil, fmt.Errorf("find a free port on %s: %w", host, err)
		}
		defer l.Close() // all at the end: each port is another
		addrs[i] = l.Addr().String()
	}
	return addrs, nil
}

// shared is the address that all processes have.
const shared = "127.0.0.1"

// own is a process's address: a process number has 22 bits at most, and none of these is shared.
func own(pid int) string {
	return net.IPv4(127, byte(1+pid>>16&0x7f), byte(pid>>8), byte(pid)).String()
}
