package main

import (
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
)

// subject is the peer that the others are compared with.
const subject = "lockstep"

// report prints the points of one row as a table of Markdown: the median of the rounds, and the
// least and the greatest. The last column is how many times the subject's key value each peer's is.
func report(w io.Writer, row, key string, points []point) {
	points = slices.DeleteFunc(slices.Clone(points), func(p point) bool { return p.Row != row })
	if len(points) == 0 {
		return
	}
	of, peers, unables := map[string][]point{}, []string{}, []string{}
	var columns []string
	for _, p := range points {
		if p.Unable != "" {
			if line := p.Peer + ": " + p.Unable; !slices.Contains(unables, line) {
				unables = append(unables, line)
			}
			continue
		}
		if columns == nil {
			for _, v := range p.Values {
				if !slices.Contains(columns, v.Name) {
					columns = append(columns, v.Name)
				}
			}
		}
		if of[p.Peer] == nil {
			peers = append(peers, p.Peer)
		}
		of[p.Peer] = append(of[p.Peer], p)
	}
	head := []string{"peer", "rounds", "noisy"}
	head = append(head, columns...)
	if len(of[subject]) == 0 {
		key = ""
	} else {
		head = append(head, key+" ÷ "+subject+"'s")
	}
	if len(peers) > 0 {
		fmt.Fprintf(w, "\n| %s |\n|---|%s\n", strings.Join(head, " | "), strings.Repeat("--:|", len(head)-1))
	}
	slices.Sort(peers)
	for _, name := range peers {
		noisy := 0
		for _, p := range of[name] {
			if p.Noisy {
				noisy++
			}
		}
		cells := []string{name, strconv.Itoa(len(of[name])), strconv.Itoa(noisy)}
		for _, column := range columns {
			cells = append(cells, spread(numbers(of[name], column)))
		}
		if key != "" {
			cells = append(cells, spread(ratios(of[name], of[subject], key)))
		}
		fmt.Fprintf(w, "| %s |\n", strings.Join(cells, " | "))
	}
	if len(unables) > 0 {
		fmt.Fprintf(w, "\nNot measured: %s.\n", strings.Join(unables, "; "))
	}
}

func numbers(points []point, name string) (all []float64) {
	for _, p := range points {
		all = append(all, p.all(name)...)
	}
	return all
}

// ratios divides values of one round, which were measured next to each other.
func ratios(of, by []point, key string) (all []float64) {
	for _, p := range of {
		for _, q := range by {
			a, _ := p.number(key)
			b, ok := q.number(key)
			if q.Round == p.Round && ok && b != 0 {
				all = append(all, a/b)
			}
		}
	}
	return all
}

// spread is a median, with the least and the greatest; of a hundred numbers or more also the 99th
// percentile.
func spread(all []float64) string {
	if len(all) == 0 {
		return "–"
	}
	least, greatest := slices.Min(all), slices.Max(all)
	if least == greatest {
		return short(least)
	}
	text := fmt.Sprintf("%s (%s–%s)", short(median(all)), short(least), short(greatest))
	if n := len(all); n >= 100 {
		text += ", p99 " + short(slices.Sorted(slices.Values(all))[n*99/100])
	}
	return text
}

func median(all []float64) float64 {
	sorted := slices.Sorted(slices.Values(all))
	n := len(sorted)
	return (sorted[(n-1)/2] + sorted[n/2]) / 2
}

// short prints three digits or more, and no exponent.
func short(x float64) string {
	switch {
	case x == 0:
		return "0"
	case x < 0.1:
		return strconv.FormatFloat(x, 'f', 4, 64)
	case x < 10:
		return strconv.FormatFloat(x, 'f', 2, 64)
	case x < 100:
		return strconv.FormatFloat(x, 'f', 1, 64)
	}
	return strconv.FormatFloat(x, 'f', 0, 64)
}
