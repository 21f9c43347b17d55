package main

import (
	"fmt"
	"os"
	"runtime"
	"runtime/pprof"
)

// A profile writes PREFIX.cpu, .allocs, .block and .mutex of the measured window. Nil does nothing.
type profile struct {
	prefix string
	cpu    *os.File
}

func newProfile(prefix string) *profile {
	if prefix == "" {
		return nil
	}
	runtime.MemProfileRate = 64 << 10
	return &profile{prefix: prefix}
}

func (p *profile) start() error {
	if p == nil {
		return nil
	}
	f, err := os.Create(p.prefix + ".cpu")
	if err != nil {
		return fmt.Errorf("create profile: %w", err)
	}
	p.cpu = f
	runtime.SetBlockProfileRate(10_000)
	runtime.SetMutexProfileFraction(20)
	return pprof.StartCPUProfile(f)
}

func (p *profile) stop() error {
	if p == nil {
		return nil
	}
	pprof.StopCPUProfile()
	if err := p.cpu.Close(); err != nil {
		return fmt.Errorf("write profile: %w", err)
	}
	for _, name := range []string{"allocs", "block", "mutex"} {
		f, err := os.Create(p.prefix + "." + name)
		if err != nil {
			return fmt.Errorf("create profile: %w", err)
		}
		if err := pprof.Lookup(name).WriteTo(f, 0); err != nil {
			return fmt.Errorf("write profile: %w", err)
		}
		if err := f.Close(); err != nil {
			return fmt.Errorf("write profile: %w", err)
		}
	}
	return nil
}
