package lockstep_test

import (
	"fmt"
	"go/ast"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// An imported is one import of a file.
type imported struct {
	path string
	name string // in this file
	spec *ast.ImportSpec
}

var majorVersion = regexp.MustCompile(`^v\d+$`)

// imports lists what f imports.
func (f *source) imports() []imported {
	var list []imported
	for _, spec := range f.ast.Imports {
		p, err := strconv.Unquote(spec.Path.Value)
		if err != nil {
			continue
		}
		name := path.Base(p)
		if majorVersion.MatchString(name) {
			name = path.Base(path.Dir(p))
		}
		if spec.Name != nil {
			name = spec.Name.Name
		}
		list = append(list, imported{p, name, spec})
	}
	return list
}

// selectors returns the places where f uses a name of the package p.
func (f *source) selectors(p string) []*ast.SelectorExpr {
	var found []*ast.SelectorExpr
	for _, i := range f.imports() {
		if i.path != p {
			continue
		}
		ast.Inspect(f.ast, func(n ast.Node) bool {
			if sel, ok := n.(*ast.SelectorExpr); ok {
				if x, ok := sel.X.(*ast.Ident); ok && x.Name == i.name && x.Obj == nil {
					found = append(found, sel)
				}
			}
			return true
		})
	}
	return found
}

// own returns the folder of an import from this tree.
func own(imported string) (dir string, ok bool) {
	if imported == module {
		return ".", true
	}
	return strings.CutPrefix(imported, module+"/")
}

// isStandard says whether an import is of the standard library: its first element has no dot.
func isStandard(imported string) bool {
	first, _, _ := strings.Cut(imported, "/")
	return !strings.Contains(first, ".")
}

// roomName is the room that dir belongs to, with the star of its key filled in.
func roomName(key, dir string) string {
	if !strings.HasSuffix(key, "/*") {
		return key
	}
	return strings.Join(strings.Split(dir, "/")[:strings.Count(key, "/")+1], "/")
}

func checkFloors(h *tree) (problems []string) {
	for _, f := range h.files {
		room, ok := roomOf(floors, f.dir)
		if !ok {
			problems = append(problems, f.path+": the folder has no floor: give it one in arch_tables_test.go and ARCHITECTURE.md")
			continue
		}
		for _, i := range f.imports() {
			if i.name == "." {
				problems = append(problems, f.at(i.spec.Pos())+"a dot import hides where names come from")
			}
			dir, ok := own(i.path)
			if !ok {
				continue
			}
			other, ok := roomOf(floors, dir)
			switch {
			case !ok || roomName(room, f.dir) == roomName(other, dir):
			case f.test && (floors[other] <= floors[room] || testGrounds[dir]):
			case floors[other] >= floors[room]:
				problems = append(problems, fmt.Sprintf("%s%s (floor %d) imports %s (floor %d): a room uses only rooms below it",
					f.at(i.spec.Pos()), f.dir, floors[room], dir, floors[other]))
			}
		}
	}
	return problems
}

func checkPure(h *tree) (problems []string) {
	for _, f := range h.product() {
		if !pureRooms[f.dir] {
			continue
		}
		for _, i := range f.imports() {
			dir, ours := own(i.path)
			if pureImports[i.path] || ours && floors[dir] == 0 && pureRooms[dir] {
				continue
			}
			problems = append(problems, f.at(i.spec.Pos())+"A1: "+f.dir+" imports "+i.path+", which is not pure")
		}
	}
	return problems
}

func checkDoors(h *tree) (problems []string) {
	for _, f := range h.product() {
		if listed(doorRooms, f.dir) {
			continue
		}
		for _, i := range f.imports() {
			if closedDoors[i.path] {
				problems = append(problems, f.at(i.spec.Pos())+"A5: "+i.path+" is reached through env only")
			}
			for _, sel := range f.selectors(i.path) {
				half, isHalf := halfDoors[i.path]
				if isHalf && !half[sel.Sel.Name] && !(i.path == "syscall" && errno.MatchString(sel.Sel.Name)) || barredNames[i.path][sel.Sel.Name] {
					problems = append(problems, f.at(sel.Pos())+"A5: "+i.path+"."+sel.Sel.Name+
						" touches the real clock, network or dice: use env")
				}
			}
		}
	}
	return problems
}

func checkProtocols(h *tree) (problems []string) {
	for _, f := range h.product() {
		machine := strings.HasPrefix(f.dir, "machine/")
		for _, i := range f.imports() {
			dir, ours := own(i.path)
			if machine && ours && dir != "machine" && !strings.HasPrefix(dir, "machine/") {
				problems = append(problems, f.at(i.spec.Pos())+"A6: a machine imports machine and its own libraries, not "+dir)
			}
			if f.dir == "machine" && !isStandard(i.path) {
				problems = append(problems, f.at(i.spec.Pos())+"A6: machine imports the standard library only, not "+i.path)
			}
			foreign := slices.ContainsFunc(protocols, func(p string) bool { return i.path == p || strings.HasPrefix(i.path, p+"/") })
			if foreign && !listed(protocolRooms, f.dir) {
				problems = append(problems, f.at(i.spec.Pos())+"A6: "+i.path+" goes no lower than server")
			}
		}
	}
	return problems
}

func checkBytes(h *tree) (problems []string) {
	for _, f := range h.product() {
		for _, i := range f.imports() {
			if byteBlind[f.dir] && byteMakers[i.path] && ownBytes[f.path] == "" {
				problems = append(problems, f.at(i.spec.Pos())+"A7: "+f.dir+" imports "+i.path+": only internal/wire makes bytes")
			}
		}
	}
	return problems
}

func checkHooks(h *tree) (problems []string) {
	for _, f := range h.files {
		for _, c := range f.ast.Comments {
			for _, line := range c.List {
				if tag := badTag(line.Text); tag != "" && !(f.test && tag == "race") {
					problems = append(problems, f.at(line.Pos())+"A12: build tag "+tag+" is no platform")
				}
			}
		}
		if f.test {
			continue
		}
		for _, i := range f.imports() {
			if (i.path == "testing" || strings.HasPrefix(i.path, "testing/")) && !listed(testingRooms, f.dir) {
				problems = append(problems, f.at(i.spec.Pos())+"A12: the product imports "+i.path)
			}
			if i.path == "flag" && !listed(flagRooms, f.dir) {
				problems = append(problems, f.at(i.spec.Pos())+"A12: flags are read by the command line only")
			}
		}
		for _, sel := range f.selectors("os") {
			if n := sel.Sel.Name; (n == "Getenv" || n == "LookupEnv" || n == "Environ") && !listed(flagRooms, f.dir) {
				problems = append(problems, f.at(sel.Pos())+"A12: no switch hides in the environment: os."+n)
			}
		}
		for _, d := range f.ast.Decls {
			if fn, ok := d.(*ast.FuncDecl); ok && fn.Recv == nil && fn.Name.Name == "init" && inits[f.path] == "" && !f.generated {
				problems = append(problems, f.at(fn.Pos())+"no init functions: a second instance in the process must be free")
			}
		}
	}
	return problems
}

var tagWord = regexp.MustCompile(`\w+`)

// badTag returns a word of a go:build line that names no platform.
func badTag(comment string) string {
	expr, ok := strings.CutPrefix(comment, "//go:build ")
	if !ok {
		return ""
	}
	for _, word := range tagWord.FindAllString(expr, -1) {
		if !buildTags[word] {
			return word
		}
	}
	return ""
}

// requirement is a line of go.mod that requires a module.
var requirement = regexp.MustCompile(`(?m)^(?:require )?\s*([\w.-]+\.[\w./-]+) v\S+( // indirect)?$`)

// requirements reads go.mod: whether each required module is marked as indirect.
func (h *tree) requirements() map[string]bool {
	indirect := map[string]bool{}
	for _, m := range requirement.FindAllStringSubmatch(h.texts["go.mod"], -1) {
		indirect[m[1]] = m[2] != ""
	}
	return indirect
}

// nested are the folders of modules of their own.
func (h *tree) nested() (dirs []string) {
	for name := range h.texts {
		if path.Base(name) == "go.mod" && path.Dir(name) != "." {
			dirs = append(dirs, path.Dir(name))
		}
	}
	return dirs
}

func checkDependencies(h *tree) (problems []string) {
	required, nested := h.requirements(), h.nested()
	for name, reason := range dependencies {
		if _, ok := required[name]; !ok && h.texts["go.mod"] != "" {
			problems = append(problems, "A13: arch_tables_test.go lists "+name+" ("+reason+"), go.mod does not require it")
		}
	}
	for name, indirect := range required {
		if !indirect && dependencies[name] == "" {
			problems = append(problems, "A13: go.mod requires "+name+": give the reason in arch_tables_test.go")
		}
	}
	for _, f := range h.files {
		if slices.ContainsFunc(nested, func(dir string) bool { return inRoom(dir, f.dir) }) {
			continue
		}
		for _, i := range f.imports() {
			if _, ours := own(i.path); ours || isStandard(i.path) || moduleOf(i.path) != "" {
				continue
			}
			problems = append(problems, f.at(i.spec.Pos())+"A13: "+i.path+" is of no module that arch_tables_test.go gives a reason for")
		}
	}
	return problems
}

// moduleOf returns the listed dependency that provides an import.
func moduleOf(imported string) string {
	for name := range dependencies {
		if imported == name || strings.HasPrefix(imported, name+"/") {
			return name
		}
	}
	return ""
}

// checkClosure follows the imports of the root package, on every platform at once.
func checkClosure(h *tree) (problems []string) {
	packages := map[string][]*source{}
	for _, f := range h.product() {
		packages[f.dir] = append(packages[f.dir], f)
	}
	seen, queue := set("."), []string{"."}
	for len(queue) > 0 {
		dir := queue[0]
		queue = queue[1:]
		for _, f := range packages[dir] {
			for _, i := range f.imports() {
				if next, ours := own(i.path); ours {
					if !seen[next] {
						seen[next] = true
						queue = append(queue, next)
					}
				} else if !isStandard(i.path) && !rootClosure[moduleOf(i.path)] {
					problems = append(problems, f.at(i.spec.Pos())+"A13: the root package depends on "+i.path)
				}
			}
		}
	}
	return problems
}
