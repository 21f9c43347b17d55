// Command snapshots checks, by visiting every state within small bounds, the rules by which snapshots are agreed,
// restored, streamed, and the log is cut behind them. README.md, one folder up, says what is modelled and how it
// ends.
package main

import "github.com/lockstep-rsm/lockstep/model/explore"

func main() { explore.Main(12_000_000, cases()) }

// search explores within b what r lets happen.
func search(r rules, b bounds, limit int) explore.Result {
	m := &model{r, b, explore.Orders(replicas)}
	var visit func(*state) string
	if b.live {
		visit = m.alive
	}
	return explore.Run[state](m, limit, visit)
}
