// Package world is a simulated world for code that reaches outside through env.Env: hosts with
// processes, disks, clocks and a network between them, all drawn from one seed and run by one
// scheduler on one goroutine. The same seed gives the same trace, event for event.
//
// A World holds hosts, numbered from 0 and named h0, h1, …. A life is one process on a host: it
// has an env of its own, ends by Kill or PowerOff, and Start begins the next one on the same disk.
// A task is a coroutine of a life; it parks in a waiter, a disk operation or a connection, and
// virtual time jumps to the next event. The driver is a host without faults on which tests and
// fault injection run: it kills, cuts and heals through the World, and turns the knobs of a Disk.
//
// Promises: nothing here reads a real clock, blocks a thread or depends on map order; the code
// under test is refused the same while it holds a turn (A11). A killed life never runs another
// operation, its deferred functions included. What a disk keeps over Kill and over PowerOff, and
// what the network may do to one Write, is said at Disk and at MessageFaults.
package world
