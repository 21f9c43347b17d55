// Package cli is the command line: up and serve run hosts, status and doctor tell how they are, get,
// put, del and watch touch keys, sim breaks things under simulation.
//
// The nouns: a Program is the command line with its streams; a setting is one option of serve, which
// comes from a flag, the environment or a file of YAML, in this order; an exit code says what a
// script may do next.
//
// The promises: output for a terminal may change, output of --output json and of pipes only grows;
// errors go to the standard error, begin with "error:" and say what to do; the exit codes are those
// of docs/cli.md. Signals, child processes and terminals stand here (A4, A5).
package cli
