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
	for _, c := range []struct{ name, patch, verdict, problem string }{
		{"caught", diff("go test .", "return a + b", "return a - b"), "adds wrongly (seed 7)", ""},
		{"survives", diff("go test .", "return a + b", "return b + a"), "", "survived: adds wrongly"},
		{"does not apply", diff("go test .", "return a * b", "return a - b"), "", "does not apply"},
		{"does not build", diff("go test .", "return a + b", "return a - c"), "", "does not build"},
		{"fails anyway", diff("go test ./none", "return a + b", "return a - b"), "", "fails without the mutant"},
		{"has no command", strings.Replace(diff("", "return a + b", "return a - b"), "Run: ", "", 1), "", "no line \"Run"},
		{"runs something else", diff("rm -r x", "return a + b", "return a - b"), "", "no line \"Run"},
		{"touches nothing", "Mutant: none\nRun: go test .\n", "", "touches no file"},
	} {
		t.Run(c.name, func(t *testing.T) {
			root := t.TempDir()
			write(t, root, "go.mod", "module example.test/sum\n\ngo 1.26\n")
			write(t, root, "sum.go", sum)
			write(t, root, "sum_test.go", sumTest)
			write(t, root, "m.patch", c.patch)
			r := newRunner(root, time.Minute)
			verdict, err := r.try(t.Context(), filepath.Join(root, "m.patch"))
			if verdict != c.verdict {
				t.Errorf("verdict %q, want %q", verdict, c.verdict)
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
