// Command founding checks, by visiting every state within small bounds, the rules by which a cluster is
// founded once. It ends with 1 if something breaks while all rules are on, or if nothing does with one
// switched off. README.md, one folder up, says what is modelled.
package main

import (
	"flag"
	"fmt"
	"os"

	"github.com/lockstep-rsm/lockstep/model/explore"
)

func main() {
	limit := flag.Int("max", 12_000_000, "states of one exploration at most")
	flag.Parse()
	ok := true
	for _, r := range runs() {
		res := search(design(), r.b, *limit)
		ok = report("rules: "+r.name, r.b, res, "ok     ", "BROKEN ") && res.Bad == "" && ok
	}
	for _, b := range breaches() {
		r := design()
		b.off(&r)
		res := search(r, b.b, *limit)
		ok = report("mutant: "+b.name, b.b, res, "MISSED ", "CAUGHT ") && res.Bad != "" && ok
	}
	if !ok {
		os.Exit(1)
	}
}

func search(r rules, b bounds, limit int) explore.Result {
	m := &model{r, b}
	var visit func(*state) string
	if b.live {
		visit = m.alive
	}
	return explore.Run[state](m, limit, visit)
}

// report prints a result, under the word for whether something broke, and says whether it could.
func report(name string, b bounds, res explore.Result, whole, broken string) bool {
	word := whole
	if res.Bad != "" {
		word = broken
	}
	fmt.Printf("%s %s %+v: %s\n", word, name, b, res)
	return res.Explain(os.Stdout) == nil
}
