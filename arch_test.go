// Package lockstep_test holds the house to its rules: docs/INVARIANTS.md, section House, says which
// and why. The tables of rooms and exceptions stand in arch_tables_test.go.
package lockstep_test

import (
	"bytes"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"sort"
	"strings"
	"testing"
)

// A rule looks at the whole tree and returns what is wrong, one sentence each.
type rule struct {
	name  string
	check func(*tree) []string
}

// rules are what TestHouse demands, and what TestEveryRuleBites plants breaches of.
var rules = []rule{
	{"rooms import only lower floors", checkFloors},
	{"A1 raft is pure", checkPure},
	{"A2 A3 one verb in and one struct out", checkReplica},
	{"A4 go statements stand in listed files", checkGo},
	{"A4 blocking stands in listed rooms", checkBlocking},
	{"A5 the world is reached through env", checkDoors},
	{"A6 machines and protocols stay apart", checkProtocols},
	{"A7 only wire makes bytes", checkBytes},
	{"A12 the product has no test hook", checkHooks},
	{"A13 dependencies have reasons", checkDependencies},
	{"A13 the closure of root is small", checkClosure},
	{"tests do not sleep", checkSleeps},
	{"exported names have comments", checkComments},
	{"packages say what they promise", checkPackageComments},
	{"files and functions fit a screen", checkSizes},
	{"words mean one thing", checkNames},
	{"errors are verb phrases", checkErrors},
	{"every TODO has an issue", checkTodos},
	{"the tree speaks of the project alone", checkWords},
	{"invariants are tested by tests that exist", checkTestedBy},
	{"code cites invariants that exist", checkCitations},
	{"snippets of documents are code that compiles", checkSnippets},
	{"links of documents lead somewhere", checkLinks},
	{"formats have golden files and fuzz targets", checkFormats},
	{"known bugs have a mutant or an issue", checkScenarios},
	{"patches of mutants fit the tree", checkMutants},
	{"promises are shown by tests that exist", checkShowing},
}

func TestHouse(t *testing.T) {
	if testing.Short() {
		t.Skip("reads the tree on one goroutine: the run without -short holds the house")
	}
	house := loadTree(t, ".")
	for _, r := range rules {
		t.Run(r.name, func(t *testing.T) {
			for _, problem := range r.check(house) {
				t.Error(problem)
			}
		})
	}
}

// The README's program is the first thing a reader runs: it must build.
func TestReadmeProgramBuilds(t *testing.T) {
	if root, err := filepath.Glob("*.go"); err != nil || !slices.ContainsFunc(root, isProduct) {
		t.Skip("the root package does not exist yet")
	}
	out, err := exec.Command("go", "build", "-tags", "grpcnotrace", "-o", os.DevNull, "./examples/readme").CombinedOutput()
	if err != nil {
		t.Fatalf("go build ./examples/readme: %v\n%s", err, out)
	}
}

func isProduct(name string) bool {
	return strings.HasSuffix(name, ".go") && !strings.HasSuffix(name, "_test.go")
}

// A tree is the text of all files, and the syntax of those that are Go.
type tree struct {
	fset  *token.FileSet
	files []*source
	texts map[string]string // by slash-separated path; no binaries
	paths map[string]bool   // all files and folders
}

// A source is one Go file. Folders named testdata hold data, not sources.
type source struct {
	path      string
	dir       string // its folder: its package, as seen from the module's root
	test      bool
	generated bool
	ast       *ast.File
	tree      *tree
}

// loadTree reads everything under root but version control and what the build leaves there.
func loadTree(t *testing.T, root string) *tree {
	t.Helper()
	texts := map[string]string{}
	err := filepath.WalkDir(root, func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(root, name)
		if err != nil {
			return err
		}
		rel = filepath.ToSlash(rel)
		if d.IsDir() {
			if rel == ".git" || rel == "bin" || rel == "lockstep-data" || d.Name() == "node_modules" {
				return fs.SkipDir
			}
			return nil
		}
		if rel == ".git" { // of a worktree: it says where the repository is
			return nil
		}
		if !d.Type().IsRegular() || strings.HasSuffix(rel, ".test") || strings.HasSuffix(rel, ".out") {
			return nil
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		if info.Size() > 4<<20 {
			texts[rel] = "" // somebody's data directory: no source is that long
			return nil
		}
		text, err := os.ReadFile(name)
		if err != nil {
			return err
		}
		if bytes.IndexByte(text[:min(len(text), 8000)], 0) >= 0 {
			text = nil // binary: only its name counts
		}
		texts[rel] = string(text)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	house, err := newTree(texts)
	if err != nil {
		t.Fatal(err)
	}
	return house
}

// newTree parses the Go files among texts.
func newTree(texts map[string]string) (*tree, error) {
	house := &tree{fset: token.NewFileSet(), texts: texts, paths: map[string]bool{}}
	for _, name := range sortedKeys(texts) {
		for p := name; p != "." && p != "/"; p = path.Dir(p) {
			house.paths[p] = true
		}
		if !strings.HasSuffix(name, ".go") || slices.Contains(strings.Split(name, "/"), "testdata") {
			continue
		}
		file, err := parser.ParseFile(house.fset, name, texts[name], parser.ParseComments)
		if err != nil {
			return nil, err
		}
		house.files = append(house.files, &source{
			path: name, dir: path.Dir(name), test: !isProduct(name),
			generated: ast.IsGenerated(file), ast: file, tree: house,
		})
	}
	return house, nil
}

// product are the files that are no tests.
func (h *tree) product() []*source {
	return slices.DeleteFunc(slices.Clone(h.files), func(f *source) bool { return f.test })
}

// at prints where something stands, before a sentence about it.
func (f *source) at(p token.Pos) string {
	return fmt.Sprintf("%s:%d: ", f.path, f.tree.fset.Position(p).Line)
}

func sortedKeys[V any](m map[string]V) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	sort.Strings(keys)
	return keys
}

// roomOf returns the key of table that fits dir best: the room that it belongs to.
func roomOf[V any](table map[string]V, dir string) (key string, ok bool) {
	for k := range table {
		if inRoom(k, dir) && len(k) > len(key) {
			key, ok = k, true
		}
	}
	return key, ok
}

// inRoom says whether the key of a table covers the folder dir.
func inRoom(key, dir string) bool {
	if parent, each := strings.CutSuffix(key, "/*"); each {
		return strings.HasPrefix(dir, parent+"/")
	}
	return dir == key || key != "." && strings.HasPrefix(dir, key+"/")
}

// listed says whether table names dir's room, or a part of it. An entry for a coarser room does not
// count: "server" does not speak for "server/etcdapi", which has a floor of its own.
func listed[V any](table map[string]V, dir string) bool {
	room, _ := roomOf(floors, dir)
	key, ok := roomOf(table, dir)
	return ok && len(key) >= len(room)
}
