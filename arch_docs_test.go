package lockstep_test

import (
	"fmt"
	"go/ast"
	"go/token"
	"path"
	"regexp"
	"strconv"
	"strings"
)

// strangers are words about how or where the tree was made. The list is written in pieces, so that
// this file does not break its own rule.
var strangers = regexp.MustCompile(`(?i)` + strings.Join([]string{
	`/wo` + `rk/`, `fa` + `rm`, `\.\.` + `/shared`, `proxy\.gol` + `ang`, `sum\.gol` + `ang`, `index\.gol` + `ang`,
	`registry\.np` + `mjs`, `np` + `mjs\.com`, `py` + `pi\.org`, `crat` + `es\.io`, `deb\.deb` + `ian`, `rubyg` + `ems`,
}, "|"))

func checkWords(h *tree) (problems []string) {
	for _, name := range sortedKeys(h.texts) {
		if path.Base(name) == "go.sum" {
			continue
		}
		for i, line := range strings.Split(h.texts[name], "\n") {
			if word := strangers.FindString(line); word != "" {
				problems = append(problems, fmt.Sprintf("%s:%d: %q: the tree speaks of the project alone", name, i+1, word))
			}
		}
	}
	return problems
}

const invariants = "docs/INVARIANTS.md"

var (
	definition = regexp.MustCompile(`(?m)^### ([A-Z]\d{1,2})\b`)
	testedBy   = regexp.MustCompile(`(?is)\*tested by\*:?(.*?)(\n\s*\n|\z)`)
	noneYet    = regexp.MustCompile(`none yet \(#\d+\)`)
	ticked     = regexp.MustCompile("`([^`\n]+)`")
	testName   = regexp.MustCompile(`^(?:[\w/]+\.)?((?:Test|Fuzz|Benchmark|Example)\w*)(?:/.*)?$`)
)

// defined returns the text of each invariant, by number, and the numbers that are defined twice.
func (h *tree) defined() (bodies map[string]string, twice []string) {
	bodies = map[string]string{}
	text := h.texts[invariants]
	places := definition.FindAllStringSubmatchIndex(text, -1)
	for i, at := range places {
		end := len(text)
		if i+1 < len(places) {
			end = places[i+1][0]
		}
		number := text[at[2]:at[3]]
		if _, ok := bodies[number]; ok {
			twice = append(twice, number)
		}
		bodies[number] = text[at[0]:end]
	}
	return bodies, twice
}

// testFunctions are the names of all tests of the tree.
func (h *tree) testFunctions() map[string]bool {
	names := map[string]bool{}
	for _, f := range h.files {
		for _, d := range f.ast.Decls {
			if fn, ok := d.(*ast.FuncDecl); ok && f.test && fn.Recv == nil {
				names[fn.Name.Name] = true
			}
		}
	}
	return names
}

func checkTestedBy(h *tree) (problems []string) {
	tests := h.testFunctions()
	bodies, twice := h.defined()
	for _, number := range twice {
		problems = append(problems, invariants+": "+number+" is defined twice")
	}
	for _, number := range sortedKeys(bodies) {
		m := testedBy.FindStringSubmatch(bodies[number])
		if m == nil {
			problems = append(problems, invariants+": "+number+" does not say what it is tested by")
			continue
		}
		names := ticked.FindAllStringSubmatch(m[1], -1)
		if len(names) == 0 && !noneYet.MatchString(m[1]) {
			problems = append(problems, invariants+": "+number+" names no test; where there is none yet, give the issue: none yet (#12)")
		}
		for _, name := range names {
			if test := testName.FindStringSubmatch(name[1]); test != nil && tests[test[1]] || h.paths[name[1]] {
				continue
			}
			problems = append(problems, fmt.Sprintf("%s: %s is tested by %s, which does not exist", invariants, number, name[1]))
		}
	}
	return problems
}

// citation is the number of an invariant. S3 is also a foreign protocol's name.
var (
	citation      = regexp.MustCompile(`\b([ARWHS][1-9]\d?)\b`)
	citedInString = regexp.MustCompile(`^([ARWHS][1-9]\d?)\b[ :]`)
	noCitation    = set("S3")
)

func checkCitations(h *tree) (problems []string) {
	bodies, _ := h.defined()
	complain := func(f *source, p token.Pos, number string) {
		if _, ok := bodies[number]; !ok && !noCitation[number] {
			problems = append(problems, f.at(p)+number+" is not in "+invariants)
		}
	}
	for _, f := range h.files {
		for _, group := range f.ast.Comments {
			for _, c := range group.List {
				for _, number := range citation.FindAllString(c.Text, -1) {
					complain(f, c.Pos(), number)
				}
			}
		}
		if f.test {
			continue
		}
		ast.Inspect(f.ast, func(n ast.Node) bool {
			if lit, ok := n.(*ast.BasicLit); ok && lit.Kind == token.STRING {
				if text, err := strconv.Unquote(lit.Value); err == nil {
					if m := citedInString.FindStringSubmatch(text); m != nil {
						complain(f, lit.Pos(), m[1])
					}
				}
			}
			return true
		})
	}
	return problems
}

var (
	snippet  = regexp.MustCompile("(?s)```go\n(.*?)```")
	fenced   = regexp.MustCompile("(?s)```.*?```")
	inTicks  = regexp.MustCompile("`[^`\n]*`")
	linked   = regexp.MustCompile(`\]\(([^)\s]+)\)`)
	readmeGo = "examples/readme/main.go"
	commands = []string{
		"\ngo build -tags grpcnotrace -o bin/lockstep ./cmd/lockstep && bin/lockstep up\n",
		"\ngo test -tags grpcnotrace ./...\n",
	}
)

// checkSnippets looks for each Go block of the README and the guides in a Go file: what compiles in
// the tree compiles in the document. Decisions and formats are history and tables, not guides.
func checkSnippets(h *tree) (problems []string) {
	for _, name := range sortedKeys(h.texts) {
		if path.Ext(name) != ".md" || inRoom("docs/decisions", path.Dir(name)) || inRoom("docs/formats", path.Dir(name)) {
			continue
		}
		blocks := snippet.FindAllStringSubmatch(h.texts[name], -1)
		for i, m := range blocks {
			found := ""
			for _, f := range h.files {
				if strings.Contains(plain(h.texts[f.path]), plain(m[1])) {
					found = f.path
					if found == readmeGo {
						break
					}
				}
			}
			switch {
			case found == "":
				problems = append(problems, fmt.Sprintf("%s: Go block %d is in no Go file of the tree", name, i+1))
			case name == "README.md" && i == 0 && found != readmeGo:
				problems = append(problems, "README.md: the first Go block is not of "+readmeGo)
			}
		}
	}
	readme, ok := h.texts["README.md"]
	if !ok {
		return problems
	}
	for _, c := range commands {
		if !strings.Contains(readme, c) {
			problems = append(problems, "README.md: the command is missing: "+strings.TrimSpace(c))
		}
	}
	if h.paths[readmeGo] && !snippet.MatchString(readme) {
		problems = append(problems, "README.md: no Go block; show "+readmeGo)
	}
	return problems
}

// plain is text without indentation and blank ends of lines.
func plain(text string) string {
	lines := strings.Split(text, "\n")
	for i := range lines {
		lines[i] = strings.TrimSpace(lines[i])
	}
	return strings.Join(lines, "\n")
}

func checkLinks(h *tree) (problems []string) {
	for _, name := range sortedKeys(h.texts) {
		if path.Ext(name) != ".md" {
			continue
		}
		text := inTicks.ReplaceAllString(fenced.ReplaceAllString(h.texts[name], ""), "")
		for _, m := range linked.FindAllStringSubmatch(text, -1) {
			target, _, _ := strings.Cut(m[1], "#")
			if target == "" || strings.Contains(target, "://") || strings.HasPrefix(target, "mailto:") {
				continue
			}
			if p := path.Join(path.Dir(name), target); !h.paths[p] {
				problems = append(problems, fmt.Sprintf("%s: the link to %s leads nowhere", name, m[1]))
			}
		}
	}
	return problems
}
