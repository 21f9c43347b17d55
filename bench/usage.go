package main

import (
	"fmt"
	"os"
	"runtime/metrics"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// tick is the unit of processor time in /proc.
const tick = 10 * time.Millisecond

// ownCPU is the processor time that this process has used.
func ownCPU() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// collectorCPU is what the garbage collections of this process that have ended took of it.
func collectorCPU() time.Duration {
	s := []metrics.Sample{{Name: "/cpu/classes/gc/total:cpu-seconds"}, {Name: "/cpu/classes/gc/mark/idle:cpu-seconds"}}
	metrics.Read(s)
	return time.Duration((s[0].Value.Float64() - s[1].Value.Float64()) * float64(time.Second)) // idle marking is in nobody's way
}

// cpuOf is the processor time that another process has used, in whole ticks; 0 if it is gone.
func cpuOf(pid int) time.Duration {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0
	}
	_, rest, _ := strings.Cut(string(text), ") ") // the command's name may hold spaces
	f := strings.Fields(rest)
	if len(f) < 13 {
		return 0
	}
	user, _ := strconv.ParseInt(f[11], 10, 64)
	system, _ := strconv.ParseInt(f[12], 10, 64)
	return time.Duration(user+system) * tick
}

// memoryOf reads a field such as VmRSS of /proc/PID/status, in bytes; 0 if the process is gone.
func memoryOf(pid int, field string) int64 {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0
	}
	for line := range strings.Lines(string(text)) {
		if rest, ok := strings.CutPrefix(line, field+":"); ok {
			kib, _ := strconv.ParseInt(strings.Fields(rest)[0], 10, 64)
			return kib << 10
		}
	}
	return 0
}

// machineCPU is the processor time of the whole machine that competes with us: user, system,
// interrupts and what the hypervisor took; not niced work, which yields.
func machineCPU() time.Duration {
	text, err := os.ReadFile("/proc/stat")
	if err != nil {
		return 0
	}
	line, _, _ := strings.Cut(string(text), "\n")
	f := strings.Fields(line)
	var sum int64
	for _, i := range []int{1, 3, 6, 7, 8} {
		if i < len(f) {
			n, _ := strconv.ParseInt(f[i], 10, 64)
			sum += n
		}
	}
	return time.Duration(sum) * tick
}

// diskFlushes counts the flushes that all disks of the machine completed.
func diskFlushes() (n uint64) {
	text, err := os.ReadFile("/proc/diskstats")
	if err != nil {
		return 0
	}
	for line := range strings.Lines(string(text)) {
		f := strings.Fields(line)
		if len(f) < 20 || strings.HasPrefix(f[2], "loop") || strings.HasPrefix(f[2], "ram") {
			continue
		}
		flushes, _ := strconv.ParseUint(f[18], 10, 64)
		n += flushes
	}
	return n
}

// awaitQuiet waits, for at most the given time, until other processes leave the machine alone for
// 200 ms.
func awaitQuiet(noise float64, patience time.Duration) {
	const window = 200 * time.Millisecond
	for end := time.Now().Add(patience); time.Now().Before(end); {
		machine, own, start := machineCPU(), ownCPU(), time.Now()
		time.Sleep(window)
		others := machineCPU() - machine - (ownCPU() - own)
		if float64(others) < noise*float64(time.Since(start)) {
			return
		}
	}
}

// freeBytes is the room left on the disk that holds a folder; 0 if unknown.
func freeBytes(dir string) int64 {
	var s syscall.Statfs_t
	if err := syscall.Statfs(dir, &s); err != nil {
		return 0
	}
	return int64(s.Bavail) * s.Bsize
}
