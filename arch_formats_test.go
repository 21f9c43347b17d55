package lockstep_test

import (
	"fmt"
	"path"
	"regexp"
	"slices"
	"strings"
)

const (
	formats   = "docs/formats/README.md"
	scenarios = "docs/scenarios.md"
)

var goldenName = regexp.MustCompile(`/testdata/[\w.]+_v\d+\.(hex|golden)$`)

// checkFormats holds the index of formats against the tree: what it names exists, and every page,
// golden file and fuzz target of a decoder is named.
func checkFormats(h *tree) (problems []string) {
	text, ok := h.texts[formats]
	if !ok {
		return nil
	}
	problems = h.unknownNames(formats, text)
	for _, name := range sortedKeys(h.texts) {
		page := path.Dir(name) == path.Dir(formats) && name != formats && !strings.Contains(text, "]("+path.Base(name)+")")
		golden := goldenName.MatchString(name) && !strings.Contains(text, "`"+name+"`")
		if page || golden {
			problems = append(problems, formats+": "+name+" is not named")
		}
	}
	for test := range h.testFunctions() {
		if strings.HasPrefix(test, "Fuzz") && !strings.Contains(text, "`"+test+"`") {
			problems = append(problems, formats+": "+test+" is not named")
		}
	}
	slices.Sort(problems)
	return problems
}

// pathName is a name in ticks that is meant to be a file or a test.
var pathName = regexp.MustCompile(`^[\w.-]+(/[\w.-]+)+$`)

// unknownNames are the tests and paths in ticks that do not exist.
func (h *tree) unknownNames(name, text string) (problems []string) {
	tests := h.testFunctions()
	for _, m := range ticked.FindAllStringSubmatch(text, -1) {
		test := testName.FindStringSubmatch(m[1])
		switch {
		case test != nil && tests[test[1]], h.paths[m[1]]:
		case test != nil, pathName.MatchString(m[1]):
			problems = append(problems, fmt.Sprintf("%s: %s does not exist", name, m[1]))
		}
	}
	return problems
}

var (
	scenarioRow  = regexp.MustCompile(`(?m)^\| (\d+) \|(.*)\|\s*$`)
	scenarioOpen = regexp.MustCompile(`open \(#\d+\)|impossible: `)
	bugNumber    = regexp.MustCompile(`bug(\d+)`)
	ofNumber     = regexp.MustCompile(`[Bb]ug(\d+)`) // in names of tests, too
)

// numberedFor says whether a row names a test or script, and a mutant, whose name carries its number.
func numberedFor(number, shown string) (test, mutant bool) {
	for _, m := range ticked.FindAllStringSubmatch(shown, -1) {
		for _, n := range ofNumber.FindAllStringSubmatch(m[1], -1) {
			test = test || n[1] == number && !strings.HasPrefix(m[1], mutants)
			mutant = mutant || n[1] == number && strings.HasPrefix(m[1], mutants)
		}
	}
	return test, mutant
}

// numbered are the folders of files whose names carry the numbers of known bugs: scripts and mutants.
var numbered = []string{"raft/testdata/", mutants}

const mutants = "sim/mutants/"

// checkScenarios holds the catalogue of known bugs against the tree: what a row names exists; a script or mutant
// whose name carries a number stands in that row; and a row has a mutant and a test of its number, or says which issue
// it waits for, or why the bug is impossible.
func checkScenarios(h *tree) (problems []string) {
	text, ok := h.texts[scenarios]
	if !ok {
		return nil
	}
	rows := map[string]string{}
	for i, m := range scenarioRow.FindAllStringSubmatch(text, -1) {
		if want := fmt.Sprint(i + 1); m[1] != want {
			problems = append(problems, fmt.Sprintf("%s: row %s stands at place %s", scenarios, m[1], want))
		}
		cells := strings.Split(m[2], "|")
		shown := cells[len(cells)-1]
		rows[m[1]] = shown
		test, mutant := numberedFor(m[1], shown)
		if !scenarioOpen.MatchString(shown) && !mutant {
			problems = append(problems, fmt.Sprintf("%s: row %s names no mutant of its number, and no issue", scenarios, m[1]))
		} else if !scenarioOpen.MatchString(shown) && !test {
			problems = append(problems, fmt.Sprintf("%s: row %s names no test or script of its number, and no issue", scenarios, m[1]))
		}
	}
	problems = append(problems, h.unknownNames(scenarios, text)...)
	for _, name := range sortedKeys(h.texts) {
		if !slices.ContainsFunc(numbered, func(folder string) bool { return strings.HasPrefix(name, folder) }) {
			continue
		}
		for _, m := range bugNumber.FindAllStringSubmatch(name, -1) {
			if !strings.Contains(rows[m[1]], "`"+name+"`") {
				problems = append(problems, fmt.Sprintf("%s: row %s does not name %s", scenarios, m[1], name))
			}
		}
	}
	return problems
}

// checkMutants holds the patches of sim/mutants against what they change: whoever moves that is told at once, and not
// by make mutants.
func checkMutants(h *tree) (problems []string) {
	for _, name := range sortedKeys(h.texts) {
		if !strings.HasPrefix(name, mutants) {
			continue
		}
		for _, file := range strings.Split("\n"+h.texts[name], "\n--- a/")[1:] {
			target, rest, _ := strings.Cut(file, "\n")
			text, ok := h.texts[target]
			if !ok {
				problems = append(problems, fmt.Sprintf("%s: %s does not exist", name, target))
				continue
			}
			for _, hunk := range strings.Split("\n"+rest, "\n@@ ")[1:] {
				if old := replaced(hunk); !strings.Contains("\n"+text, "\n"+old) {
					problems = append(problems, fmt.Sprintf("%s: %s has no lines\n%s", name, target, old))
				}
			}
		}
	}
	return problems
}

// replaced are the lines that one hunk of a patch takes the place of, and those around them.
func replaced(hunk string) string {
	var b strings.Builder
	for _, line := range strings.Split(hunk, "\n")[1:] {
		if line != "" && (line[0] == ' ' || line[0] == '-') {
			b.WriteString(line[1:] + "\n")
		}
	}
	return b.String()
}

// showing are the pages, beside those of the checks above, whose names in ticks of tests and files must exist.
var showing = []string{"docs/reliability.md", "docs/divergence.md"}

func checkShowing(h *tree) (problems []string) {
	for _, name := range showing {
		problems = append(problems, h.unknownNames(name, h.texts[name])...)
	}
	return problems
}
