// Command segment checks, by visiting every state within small bounds, the rules by which the log's files
// are scanned at open. README.md, one folder up, says what is modelled and how it ends.
package main

import "github.com/lockstep-rsm/lockstep/model/explore"

func main() { explore.Main(30_000_000, cases()) }

// search explores within b what r lets happen.
func search(r rules, b bounds, limit int) explore.Result {
	return explore.Run[state](&model{r, b}, limit, nil)
}
