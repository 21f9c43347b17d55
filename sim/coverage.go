package sim

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"time"
)

// Unreached are the faults, pairs of faults and situations that no seed had, of those that every gate
// has to reach.
func (s *Summary) Unreached() (names []string) {
	for _, p := range s.Pairs {
		if p.Seeds == 0 && !apart[p] {
			names = append(names, p.A+" with "+p.B)
		}
	}
	return append(names, s.unreached()...)
}

// apart are pairs that no seed draws: a host that is lost must not be the only voter that has an entry, and a command is
// passed over by all members, of which none may be gone for good.
var apart = map[Pair]bool{
	{A: "membership", B: "replacement"}: true,
	{A: "bit rot", B: "poison"}:         true,
	{A: "membership", B: "poison"}:      true,
	{A: "replacement", B: "poison"}:     true,
}

// unreached is Unreached without the pairs.
func (s *Summary) unreached() (names []string) {
	for _, c := range slices.Concat(s.Faults, s.Probes) {
		if c.N == 0 && !optional[c.Name] {
			names = append(names, c.Name)
		}
	}
	for _, c := range s.With {
		if c.Name == "snapshot installed" && int(c.N) < s.Seeds/10 {
			names = append(names, "a snapshot installed in a tenth of the seeds")
		}
	}
	return names
}

// WriteTo prints the counts as two tables, faults and probes. Behind a fault stands in how many seeds it came together with
// each of the faults above it, and below them which faults, and which pairs of faults, no seed had.
func (s *Summary) WriteTo(w io.Writer) (int64, error) {
	var b strings.Builder
	fmt.Fprintf(&b, "%6s %-44s %8s %8s", "", "fault", "times", "in seeds")
	if len(s.Faults) > 1 {
		fmt.Fprint(&b, "  with")
		for i := range len(s.Faults) - 1 {
			fmt.Fprintf(&b, " %5d", i+1)
		}
	}
	fmt.Fprintln(&b)
	for i, c := range s.Faults {
		fmt.Fprintf(&b, "%6d %-44s %8d %8d", i+1, c.Name, c.N, s.Drawn[i].N)
		if i > 0 {
			fmt.Fprint(&b, "      ")
		}
		for j := range i {
			fmt.Fprintf(&b, " %5d", s.together(j, i))
		}
		fmt.Fprintln(&b)
	}
	if missing := s.undrawn(); missing != "" {
		fmt.Fprintln(&b, missing)
	}
	fmt.Fprintf(&b, "%6s %-44s %8s %8s\n", "", "probe", "times", "in seeds")
	for i, c := range s.Probes {
		fmt.Fprintf(&b, "%6s %-44s %8d %8d\n", "", c.Name, c.N, s.With[i].N)
	}
	n, err := io.WriteString(w, b.String())
	return int64(n), err
}

// undrawn says which faults no seed had, and which pairs that a seed may draw. Empty: there are none.
func (s *Summary) undrawn() string {
	var kinds, pairs, excluded []string
	none := map[string]bool{}
	for _, c := range s.Faults {
		if c.N == 0 {
			kinds = append(kinds, c.Name)
			none[c.Name] = true
		}
	}
	for _, p := range s.Pairs {
		switch name := p.A + " with " + p.B; {
		case p.Seeds > 0 || none[p.A] || none[p.B]:
		case apart[p]:
			excluded = append(excluded, name)
		default:
			pairs = append(pairs, name)
		}
	}
	var lines []string
	for _, part := range []struct {
		title string
		names []string
	}{{"faults never drawn", kinds}, {"never together", pairs}, {"never together, and no seed may", excluded}} {
		if len(part.names) > 0 {
			lines = append(lines, part.title+": "+strings.Join(part.names, ", "))
		}
	}
	return strings.Join(lines, "\n")
}

// together is how many seeds had the i-th and the j-th kind of fault, i the smaller.
func (s *Summary) together(i, j int) uint64 {
	for _, p := range s.Pairs {
		if p.A == s.Faults[i].Name && p.B == s.Faults[j].Name {
			return p.Seeds
		}
	}
	return 0
}

// brief is the counts in one line.
func (s *Summary) brief(took time.Duration) string {
	text := fmt.Sprintf("%d run, %.0f simulated seconds in %.1f s", s.Seeds, s.Time.Seconds(), took.Seconds())
	var faults []string
	for _, c := range s.Faults {
		if c.N > 0 {
			faults = append(faults, fmt.Sprintf("%d %s", c.N, c.Name))
		}
	}
	if faults != nil {
		text += "; faults: " + strings.Join(faults, ", ")
	}
	if never := s.unreached(); len(never) > few {
		text += fmt.Sprintf("; never reached: %s, and %d more", strings.Join(never[:few], ", "), len(never)-few)
	} else if len(never) > 0 {
		text += "; never reached: " + strings.Join(never, ", ")
	}
	return text
}
