package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

const (
	sum = "package sum\n\n// Of adds.\nfunc Of(a, b int) int {\n\treturn a + b\n}\n"

	sumTest = "package sum\n\nimport \"testing\"\n\nfunc TestOf(t *testing.T) {\n\tif Of(1, 2) != 3 {\n\t\tt.Fatal(\"seed 7: wrong sum\")\n\t}\n}\n"
)

func diff(run, from, to string) string {
	return "Mutant: adds wrongly\nBreaks: X1\nRun: " + run + "\n\n--- a/sum.go\n+++ b/sum.go\n@@ -3,4 +3,4 @@ package sum\n // Of adds.\n func Of(a, b int) int {\n-\t" + from + "\n+\t" + to + "\n }\n"
}

func TestMutants(t *testing.T) {
	for _, c := range []struct {
		name, patch string
		caught      caught
		problem     string
	}{
		{"caught", diff("go test .", "return a + b", "return a - b"), caught{"adds wrongly", 7}, ""},
		{"survives", diff("go test .", "return a + b", "return b + a"), caught{}, "survived: adds wrongly"},
		{"does not apply", diff("go test .", "return a * b", "return a - b"), caught{}, "does not apply"},
		{"does not build", diff("go test .", "return a + b", "return a - c"), caught{}, "does not build"},
		{"fails anyway", diff("go test ./none", "return a + b", "return a - b"), caught{}, "fails without the mutant"},
		{"names no test", diff("go test -run TestGone .", "return a + b", "return a - b"), caught{}, "no such test"},
		{"has a flag of its own", diff("go test -v .", "return a + b", "return a - b"), caught{}, "and no -v"},
		{"has no command", strings.Replace(diff("", "return a + b", "return a - b"), "Run: ", "", 1), caught{}, "no line \"Run"},
		{"runs something else", diff("rm -r x", "return a + b", "return a - b"), caught{}, "no line \"Run"},
		{"touches nothing", "Mutant: none\nRun: go test .\n", caught{}, "touches no file"},
	} {
		t.Run(c.name, func(t *testing.T) {
			root := t.TempDir()
			write(t, root, "go.mod", "module example.test/sum\n\ngo 1.26\n")
			write(t, root, "sum.go", sum)
			write(t, root, "sum_test.go", sumTest)
			write(t, root, "m.patch", c.patch)
			r := newRunner(root, t.TempDir(), time.Minute)
			got, err := r.try(t.Context(), filepath.Join(root, "m.patch"))
			if got != c.caught {
				t.Errorf("caught %+v, want %+v", got, c.caught)
			}
			if c.problem == "" && err != nil || c.problem != "" && (err == nil || !strings.Contains(err.Error(), c.problem)) {
				t.Errorf("error %v, want %q", err, c.problem)
			}
			if text, err := os.ReadFile(filepath.Join(root, "sum.go")); err != nil || string(text) != sum {
				t.Errorf("the tree was changed: %q, %v", text, err)
			}
		})
	}
}

func write(t *testing.T, dir, name, text string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o666); err != nil {
		t.Fatal(err)
	}
}
