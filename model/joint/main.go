// Command joint checks, by visiting every state within small bounds, the rules by which the voters of a group
// change, all of them at once if need be. README.md, one folder up, says what is modelled and how it ends.
package main

import "github.com/lockstep-rsm/lockstep/model/explore"

func main() { explore.Main(12_000_000, cases()) }

// search explores within b what r lets happen.
func search(r rules, b bounds, limit int) explore.Result {
	m := newModel(r, b)
	var visit func(*state) string
	if b.live {
		visit = m.alive
	}
	return explore.Run[state](m, limit, visit)
}
