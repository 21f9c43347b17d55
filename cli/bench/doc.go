// Package bench measures the engine on the user's machine, with the least that this machine could
// take beside it: three replicas in this process, over loopback, on the disk of a directory.
//
// The nouns: a Plan says what to measure, a Report is what came out, a Row is one load of it: clients
// that each have one operation outstanding. The Machine is what disk and network take alone, and the
// floor is derived from it. A Change is a row of two reports side by side.
//
// The promises: a run ends within the time that its plan says and a start of some seconds, also when
// its context ends; it listens on loopback only and removes what it wrote; a report's JSON only grows
// within one Format, and a page needs nothing but itself. No latency is below its floor but by chance:
// a write waits for one round trip and one sync, a read for one round trip.
package bench
