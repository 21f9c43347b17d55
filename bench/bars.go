package main

import (
	"fmt"
	"slices"
	"strings"
)

// better says whether a greater value of a key is the better one.
func better(key string) bool { return key == "op/s" }

// name is what a bar compares, in words.
func (b *bar) name() string {
	switch {
	case b.overRow != "":
		return fmt.Sprintf("%s of %s ÷ its own in %q", b.key, b.of, b.overRow)
	case len(b.over) == 0:
		return fmt.Sprintf("%s of %s", b.key, b.of)
	case len(b.over) == len(rivals):
		return fmt.Sprintf("%s of %s ÷ the best rival's", b.key, b.of)
	}
	return fmt.Sprintf("%s of %s ÷ %s", b.key, b.of, strings.Join(b.over, ", "))
}

// goal is what is asked, in words.
func (b *bar) goal() string {
	switch {
	case b.atLeast > 0:
		return "≥ " + short(b.atLeast)
	case b.atMost > 0:
		return "≤ " + short(b.atMost)
	}
	return "–"
}

// measured are the ratios of all rounds, by the points of all figures under their titles. Over says
// which of the rivals was best; it is empty for bars that have none.
func (b *bar) measured(title string, points map[string][]point) (all []float64, over string) {
	own := byPeer(points[title], b.of)
	switch {
	case b.overRow != "":
		return ratios(own, byPeer(points[b.overRow], b.of), b.key), ""
	case len(b.over) == 0:
		return numbers(own, b.key), ""
	}
	var best float64
	for _, name := range b.over {
		values := numbers(byPeer(points[title], name), b.key)
		if len(values) == 0 {
			continue
		}
		if m := median(values); over == "" || better(b.key) == (m > best) {
			best, over = m, name
		}
	}
	return ratios(own, byPeer(points[title], over), b.key), over
}

// met says whether the median reaches the goal.
func (b *bar) met(all []float64) bool {
	m := median(all)
	return (b.atLeast == 0 || m >= b.atLeast) && (b.atMost == 0 || m <= b.atMost)
}

func byPeer(points []point, peer string) []point {
	return slices.DeleteFunc(slices.Clone(points), func(p point) bool { return p.Peer != peer || p.Unable != "" })
}
