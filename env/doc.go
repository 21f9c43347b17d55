// Package env is the doors of the world: files, network, clocks, randomness, tasks and waiting.
// Everything in the engine that is not pure reaches outside through an Env, so the same code runs
// on an operating system and in the deterministic simulator.
//
// An Env holds an FS, a Net, a Clock and a Rand, starts tasks with Run, and lets them park in a
// Waiter. OS is the real one. Observer receives the engine's events.
//
// Invariants A4, A5 and A11 live here: go statements, blocking, os, net, time and crypto/rand
// stand in this package, and nothing parks while it holds a turn.
package env
