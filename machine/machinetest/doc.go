// Package machinetest is the suite that every machine passes. A test of a machine calls Run with the
// machine's Kind, and with functions that draw commands and queries.
//
// The nouns: a script is a log drawn from a seed, cut into commands; the reference is one machine that
// executes it command by command; a rule runs the same script another way (in random batches, through
// snapshots, with Views open, again from the start) and fails the test if anything differs from the
// reference: results, digests, deadlines or answers to queries.
//
// The promises: one seed draws one script; a failure names the rule, the seed and the command. Each
// rule is shown to bite by a broken machine in this package's own tests. What cannot be seen from
// outside (a clock that is read and does not show) is not found here.
package machinetest
