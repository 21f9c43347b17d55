// Command segment checks, by visiting every state within small bounds, the rules by which the log's files
// are scanned at open. It ends with 1 if something breaks while all rules are on, or if nothing does with
// one switched off. README.md, one folder up, says what is modelled.
package main

import (
	"flag"
	"fmt"
	"os"

	"github.com/lockstep-rsm/lockstep/model/explore"
)

func main() {
	limit := flag.Int("max", 30_000_000, "states of one exploration at most")
	deep := flag.Bool("deep", false, "larger bounds")
	flag.Parse()
	ok := true
	for _, r := range runs(*deep) {
		res := explore.Run[state](&model{design(), r.b}, *limit, nil)
		fmt.Printf("%s rules, %-18s %+v: %s\n", verdict(res), r.name, r.b, res)
		ok = explain(res) && res.Bad == "" && ok
	}
	for _, r := range runs(false) {
		res := explore.Run[state](&model{variant(), r.b}, *limit, nil)
		fmt.Printf("%s variant follow, %-14s %+v: %s\n", verdict(res), r.name, r.b, res)
		ok = explain(res) && res.Bad == "" && ok
	}
	for _, b := range breaches() {
		r := design()
		b.off(&r)
		res := explore.Run[state](&model{r, b.b}, *limit, nil)
		found := "CAUGHT"
		if res.Bad == "" {
			found = "MISSED"
		}
		fmt.Printf("%s  %s: %s\n", found, b.name, res)
		ok = explain(res) && res.Bad != "" && ok
	}
	if !ok {
		os.Exit(1)
	}
}

func verdict(res explore.Result) string {
	if res.Bad != "" {
		return "BROKEN"
	}
	return "ok"
}

// explain prints a counterexample and says whether it could.
func explain(res explore.Result) bool { return res.Explain(os.Stdout) == nil }
