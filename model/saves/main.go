// Command saves checks, by visiting every state within small bounds, the rules by which replicas count on
// writes that are still on their way to the disk. README.md, one folder up, says what is modelled and how it
// ends.
package main

import "github.com/lockstep-rsm/lockstep/model/explore"

func main() { explore.Main(12_000_000, cases()) }

// search explores within b what r lets happen.
func search(r rules, b bounds, limit int) explore.Result {
	m := &model{r, b, explore.Orders(replicas)}
	return explore.Run[state](m, limit, m.stuck)
}
