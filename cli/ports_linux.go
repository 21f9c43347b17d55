package cli

import (
	"bufio"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// whoListens finds the process that listens on a TCP port; 0 if it is not ours to see.
func whoListens(port string) (pid int, name string) {
	n, err := strconv.Atoi(port)
	if err != nil {
		return 0, ""
	}
	sockets := map[string]bool{}
	for _, table := range []string{"/proc/net/tcp", "/proc/net/tcp6"} {
		for _, inode := range listening(table, n) {
			sockets["socket:["+inode+"]"] = true
		}
	}
	if len(sockets) == 0 {
		return 0, ""
	}
	links, err := filepath.Glob("/proc/[0-9]*/fd/*")
	if err != nil {
		return 0, ""
	}
	for _, link := range links {
		if to, err := os.Readlink(link); err == nil && sockets[to] {
			owner := strings.Split(link, "/")[2]
			pid, _ = strconv.Atoi(owner)
			if starter := starterOf(pid); starter != 0 {
				return starter, processName(starter) + " up"
			}
			return pid, processName(pid)
		}
	}
	return 0, ""
}

// listening gives the inodes of the sockets of a table that listen on a port.
func listening(table string, port int) (inodes []string) {
	f, err := os.Open(table)
	if err != nil {
		return nil
	}
	defer f.Close()
	const listens = "0A"
	for lines := bufio.NewScanner(f); lines.Scan(); {
		fields := strings.Fields(lines.Text())
		if len(fields) > 9 && fields[3] == listens && strings.HasSuffix(fields[1], fmt.Sprintf(":%04X", port)) {
			inodes = append(inodes, fields[9])
		}
	}
	return inodes
}

// starterOf is the lockstep up that has started a replica and would start it again; 0: it is none.
func starterOf(pid int) int {
	vars, err := os.ReadFile(fmt.Sprintf("/proc/%d/environ", pid))
	if err != nil || !strings.Contains("\x00"+string(vars), "\x00"+lifelineEnv+"=") {
		return 0
	}
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0
	}
	// pid (name) state parent …, where the name may hold anything.
	fields := strings.Fields(string(stat[strings.LastIndexByte(string(stat), ')')+1:]))
	if len(fields) < 2 {
		return 0
	}
	parent, err := strconv.Atoi(fields[1])
	if err != nil || parent == 1 { // orphaned: it stops by itself
		return 0
	}
	return parent
}

func processName(pid int) string {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/comm", pid))
	if err != nil {
		return "unknown"
	}
	return strings.TrimSpace(string(b))
}

// describeOwner adds the program and its start to "pid 4711".
func describeOwner(owner string) string {
	pid, err := strconv.Atoi(strings.TrimPrefix(owner, "pid "))
	if err != nil {
		return ""
	}
	args, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
	info, err2 := os.Stat(fmt.Sprintf("/proc/%d", pid))
	if err != nil || err2 != nil {
		return ""
	}
	words := strings.Split(strings.TrimRight(string(args), "\x00"), "\x00")
	name := filepath.Base(words[0])
	if len(words) > 1 && !strings.HasPrefix(words[1], "-") {
		name += " " + words[1]
	}
	return fmt.Sprintf(" (%s, since %s)", name, info.ModTime().Format("15:04"))
}
