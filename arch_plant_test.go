package lockstep_test

import (
	"strings"
	"testing"
)

// planted are breaches: each rule gets a tree that breaks it and must say so in a problem that
// contains want; allowed, where it is not nil, is the nearest tree that is right.
var planted = []struct {
	rule, want     string
	files, allowed map[string]string
}{
	{
		rule: "rooms import only lower floors", want: "raft (floor 1) imports internal/wire (floor 2)",
		files:   files{"raft/a.go": "package raft\nimport _ \"" + module + "/internal/wire\"\n"},
		allowed: files{"internal/wire/a.go": "package wire\nimport _ \"" + module + "/raft\"\n"},
	},
	{
		rule: "rooms import only lower floors", want: "no floor",
		files: files{"attic/a.go": "package attic\n"},
	},
	{
		rule: "rooms import only lower floors", want: "floor 1) imports machine/kv (floor 1)",
		files:   files{"machine/ledger/a.go": "package ledger\nimport _ \"" + module + "/machine/kv\"\n"},
		allowed: files{"machine/kv/a_test.go": "package kv\nimport _ \"" + module + "/machine/machinetest\"\n"},
	},
	{
		rule: "rooms import only lower floors", want: "imports internal/host (floor 5)",
		files: files{"internal/wal/a_test.go": "package wal\nimport _ \"" + module + "/internal/host\"\n"},
	},
	{
		rule: "rooms import only lower floors", want: "dot import",
		files: files{"raft/a.go": "package raft\nimport . \"fmt\"\n"},
	},
	{
		rule: "A1 raft is pure", want: "raft imports time",
		files:   files{"raft/a.go": "package raft\nimport _ \"time\"\n"},
		allowed: files{"raft/a_test.go": "package raft\nimport _ \"time\"\n", "raft/a.go": "package raft\nimport _ \"" + module + "/raft/quorum\"\n"},
	},
	{
		rule: "A2 A3 one verb in and one struct out", want: "Replica.Tick is a second verb",
		files:   files{"raft/a.go": replicaTypes + "func (r *Replica) Tick() {}\n"},
		allowed: files{"raft/a.go": replicaTypes + "func (r *Replica) Step(i Input) {}\nfunc (r *Replica) Term() int { return 0 }\n"},
	},
	{
		rule: "A2 A3 one verb in and one struct out", want: "Replica.Propose is a second verb",
		files: files{"raft/a.go": replicaTypes + "func (r *Replica) Propose(p []byte) error { return nil }\n"},
	},
	{
		rule: "A2 A3 one verb in and one struct out", want: "raft.Ready has no field AfterSave",
		files: files{"raft/a.go": strings.Replace(replicaTypes, "AfterSave", "Later", 1)},
	},
	{
		rule: "A4 go statements stand in listed files", want: "internal/host/a.go:2",
		files:   files{"internal/host/a.go": "package host\nfunc f() { go f() }\n"},
		allowed: files{"tools/a/a.go": "package main\nfunc f() { go f() }\n", "env/a_test.go": "package env\nfunc f() { go f() }\n"},
	},
	{
		rule: "A4 go statements stand in listed files", want: "env/os.go holds no go statement",
		files: files{"env/os.go": "package env\n"},
	},
	{
		rule: "A4 blocking stands in listed rooms", want: "select blocks",
		files:   files{"internal/host/a.go": "package host\nfunc f() { select {} }\n"},
		allowed: files{"env/a.go": "package env\nfunc f(c chan int) { c <- <-c }\n"},
	},
	{
		rule: "A4 blocking stands in listed rooms", want: "a send blocks",
		files: files{"raft/a.go": "package raft\nfunc f() { c <- 1 }\n"},
	},
	{
		rule: "A4 blocking stands in listed rooms", want: "a receive blocks",
		files: files{"raft/a.go": "package raft\nfunc f() { <-c() }\n"},
	},
	{
		rule: "A4 blocking stands in listed rooms", want: "sync.WaitGroup blocks",
		files: files{"internal/wal/a.go": "package wal\nimport \"sync\"\nvar w sync.WaitGroup\n"},
	},
	{
		rule: "A4 blocking stands in listed rooms", want: "sync.NewCond blocks",
		files: files{"internal/wal/a.go": "package wal\nimport s \"sync\"\nvar w = s.NewCond(nil)\n"},
	},
	{
		rule: "A5 the world is reached through env", want: "os/exec is reached through env",
		files:   files{"internal/wal/a.go": "package wal\nimport _ \"os/exec\"\n"},
		allowed: files{"env/a.go": "package env\nimport _ \"os/exec\"\n", "internal/wal/a_test.go": "package wal\nimport _ \"os/exec\"\n"},
	},
	{
		rule: "A5 the world is reached through env", want: "os.Open touches",
		files:   files{"internal/wal/a.go": "package wal\nimport \"os\"\nvar open = os.Open\n"},
		allowed: files{"internal/wal/a.go": "package wal\nimport \"os\"\nvar late = os.ErrDeadlineExceeded\n"},
	},
	{
		rule: "A5 the world is reached through env", want: "syscall.Fsync touches",
		files:   files{"internal/wal/a.go": "package wal\nimport \"syscall\"\nvar sync = syscall.Fsync\n"},
		allowed: files{"internal/wal/a.go": "package wal\nimport \"syscall\"\nvar full = syscall.EDQUOT\n"},
	},
	{
		rule: "A5 the world is reached through env", want: "time.Now touches",
		files:   files{"internal/host/a.go": "package host\nimport \"time\"\nvar now = time.Now()\n"},
		allowed: files{"internal/host/a.go": "package host\nimport \"time\"\nvar beat = time.Second\n"},
	},
	{
		rule: "A5 the world is reached through env", want: "net.Dial touches",
		files:   files{"internal/transport/a.go": "package transport\nimport \"net\"\nvar dial = net.Dial\n"},
		allowed: files{"internal/transport/a.go": "package transport\nimport \"net\"\nvar c net.Conn\n"},
	},
	{
		rule: "A5 the world is reached through env", want: "math/rand/v2.IntN touches",
		files:   files{"machine/kv/a.go": "package kv\nimport \"math/rand/v2\"\nvar n = rand.IntN(3)\n"},
		allowed: files{"machine/kv/a.go": "package kv\nimport \"math/rand/v2\"\nvar n = rand.New(rand.NewPCG(1, 2))\n"},
	},
	{
		rule: "A5 the world is reached through env", want: "context.WithTimeout touches",
		files: files{"a.go": "package lockstep\nimport \"context\"\nvar f = context.WithTimeout\n"},
	},
	{
		rule: "A6 machines and protocols stay apart", want: "not raft",
		files:   files{"machine/kv/a.go": "package kv\nimport _ \"" + module + "/raft\"\n"},
		allowed: files{"machine/kv/a.go": "package kv\nimport _ \"" + module + "/machine\"\n"},
	},
	{
		rule: "A6 machines and protocols stay apart", want: "standard library only",
		files: files{"machine/a.go": "package machine\nimport _ \"github.com/tidwall/btree\"\n"},
	},
	{
		rule: "A6 machines and protocols stay apart", want: "google.golang.org/grpc/codes goes no lower than server",
		files:   files{"internal/transport/a.go": "package transport\nimport _ \"google.golang.org/grpc/codes\"\n"},
		allowed: files{"server/etcdapi/a.go": "package etcdapi\nimport _ \"google.golang.org/grpc/codes\"\n"},
	},
	{
		rule: "A7 only wire makes bytes", want: "internal/wal imports encoding/binary",
		files:   files{"internal/wal/a.go": "package wal\nimport _ \"encoding/binary\"\n"},
		allowed: files{"internal/wire/a.go": "package wire\nimport _ \"encoding/binary\"\n"},
	},
	{
		rule: "A12 the product has no test hook", want: "build tag faults",
		files:   files{"env/a.go": "//go:build linux && faults\n\npackage env\n"},
		allowed: files{"env/a.go": "//go:build linux && !arm64\n\npackage env\n"},
	},
	{
		rule: "A12 the product has no test hook", want: "imports testing",
		files:   files{"internal/host/a.go": "package host\nimport _ \"testing\"\n"},
		allowed: files{"machine/machinetest/a.go": "package machinetest\nimport _ \"testing\"\n"},
	},
	{
		rule: "A12 the product has no test hook", want: "os.Getenv",
		files: files{"env/a.go": "package env\nimport \"os\"\nvar debug = os.Getenv(\"DEBUG\")\n"},
	},
	{
		rule: "A12 the product has no test hook", want: "no init functions",
		files: files{"env/a.go": "package env\nfunc init() {}\n"},
	},
	{
		rule: "A13 dependencies have reasons", want: "example.com/other/x is of no module",
		files:   files{"cli/a.go": "package cli\nimport _ \"example.com/other/x\"\n"},
		allowed: files{"cli/a.go": "package cli\nimport _ \"github.com/spf13/cobra\"\n", "bench/go.mod": "", "bench/a.go": "package bench\nimport _ \"example.com/other/x\"\n"},
	},
	{
		rule: "A13 dependencies have reasons", want: "go.mod requires example.com/other",
		files: files{"go.mod": "module x\n\nrequire (\n\texample.com/other v1.2.3\n\tgolang.org/x/net v0.1.0 // indirect\n)\n"},
	},
	{
		rule: "A13 dependencies have reasons", want: "go.mod does not require it",
		files: files{"go.mod": "module x\n"},
	},
	{
		rule: "A13 the closure of root is small", want: "the root package depends on github.com/tidwall/btree",
		files: files{
			"a.go": "package lockstep\nimport _ \"" + module + "/env\"\n", "env/a.go": "package env\nimport _ \"github.com/tidwall/btree\"\n",
		},
		allowed: files{
			"a.go": "package lockstep\nimport _ \"" + module + "/env\"\n", "env/a.go": "package env\nimport _ \"golang.org/x/sys/unix\"\n",
			"cli/a.go": "package cli\nimport _ \"github.com/spf13/cobra\"\n",
		},
	},
	{
		rule: "tests do not sleep", want: "time.Sleep",
		files: files{"env/a_test.go": "package env\nimport \"time\"\nfunc f() { time.Sleep(1) }\n"},
	},
	{
		rule: "tests do not sleep", want: "time.After",
		files:   files{"env/a_test.go": "package env\nimport \"time\"\nfunc f() { select { case <-time.After(1): } }\n"},
		allowed: files{"env/a_test.go": "package env\nimport \"time\"\nfunc f() { select { case <-time.After(1): case <-done: } }\n"},
	},
	{
		rule: "exported names have comments", want: "T.M is exported",
		files:   files{"env/a.go": "package env\n// T is.\ntype T struct{}\nfunc (*T) M() {}\n"},
		allowed: files{"env/a.go": "package env\n// T is.\ntype T struct{}\n// M does.\nfunc (*T) M() {}\nfunc (t) M() {}\n"},
	},
	{
		rule: "exported names have comments", want: "B is exported",
		files:   files{"env/a.go": "package env\n// Group.\ntype (\n// A is.\nA int\nB int\n)\n"},
		allowed: files{"env/a.go": "package env\n// The numbers.\nconst (\nA = 1\nB = 2\n)\n"},
	},
	{
		rule: "exported names have comments", want: "V is exported",
		files: files{"env/a.go": "package env\nvar V int\n"},
	},
	{
		rule: "exported names have comments", want: "F is exported",
		files: files{"env/a.go": "package env\nfunc F() {}\n"},
	},
	{
		rule: "packages say what they promise", want: "has no comment",
		files: files{"env/a.go": "package env\n"},
	},
	{
		rule: "packages say what they promise", want: "not in doc.go",
		files: files{"env/a.go": "// Package env is.\npackage env\n", "env/b.go": "package env\n"},
	},
	{
		rule: "packages say what they promise", want: "three paragraphs",
		files:   files{"env/doc.go": "// Package env is.\npackage env\n"},
		allowed: files{"env/doc.go": "// Package env is.\n//\n// Nouns.\n//\n// Promises.\npackage env\n"},
	},
	{
		rule: "files and functions fit a screen", want: "801 lines",
		files:   files{"env/a.go": "package env\n" + strings.Repeat("\n", 800)},
		allowed: files{"env/a.go": "package env\n" + strings.Repeat("\n", 799)},
	},
	{
		rule: "files and functions fit a screen", want: "long has 71 lines",
		files:   files{"env/a.go": "package env\nfunc long() {" + strings.Repeat("\n", 70) + "}\n"},
		allowed: files{"env/a.go": "package env\nfunc long() {" + strings.Repeat("\n", 69) + "}\n"},
	},
	{
		rule: "files and functions fit a screen", want: "long has 71 lines",
		files:   files{"env/a.go": "package env\nfunc long() { _ = []int{" + strings.Repeat("\n", 70) + "} }\n"},
		allowed: files{"env/a_test.go": "package env\nfunc long() { _ = []int{" + strings.Repeat("\n", 70) + "} }\n"},
	},
	{
		rule: "words mean one thing", want: "WALConfig says \"config\"",
		files:   files{"env/a.go": "package env\ntype WALConfig struct{}\n"},
		allowed: files{"env/a.go": "package env\ntype Configuration struct{}\nvar nodeCount int\n", "server/etcdapi/a.go": "package etcdapi\nvar NodeID int\n"},
	},
	{
		rule: "words mean one thing", want: "\"utils\" in the name",
		files: files{"env/wal_utils.go": "package env\n"},
	},
	{
		rule: "words mean one thing", want: "\"common\" in the name",
		files: files{"internal/common/a.go": "package common\n"},
	},
	{
		rule: "words mean one thing", want: "ShardID says",
		files: files{"env/a.go": "package env\ntype T struct{ ShardID int }\n"},
	},
	{
		rule: "errors are verb phrases", want: "drop \"failed to\"",
		files:   files{"env/a.go": "package env\nvar e = errors.New(\"failed to open\")\n"},
		allowed: files{"env/a.go": "package env\nvar e = errors.New(\"open log\")\n"},
	},
	{
		rule: "every TODO has an issue", want: "number of its issue",
		files:   files{"env/a.go": "package env\n// TODO: more\n"},
		allowed: files{"env/a.go": "package env\n// TODO(#12): more\n"},
	},
	{
		rule: "the tree speaks of the project alone", want: "docs/a.md:2",
		files:   files{"docs/a.md": "fine\nsee ../" + "shared for more\n"},
		allowed: files{"docs/a.md": "a framework/kit\n", "go.sum": "proxy.gol" + "ang.org\n"},
	},
	{
		rule: "invariants are tested by tests that exist", want: "R1 is tested by TestGone",
		files:   files{invariants: "### R1 One\n*Tested by*: `TestGone`.\n"},
		allowed: files{invariants: "### R1 One\n*Tested by*: `TestHere/x`, `raft/testdata/a.txt`.\n\n### R2 Two\n*Tested by*: none yet (#2).\n", "raft/a_test.go": "package raft\nfunc TestHere() {}\n", "raft/testdata/a.txt": "x"},
	},
	{
		rule: "invariants are tested by tests that exist", want: "R1 names no test",
		files: files{invariants: "### R1 One\n*Tested by*: hope.\n"},
	},
	{
		rule: "invariants are tested by tests that exist", want: "R1 does not say",
		files: files{invariants: "### R1 One\n\n### R2 Two\n*Tested by*: none yet (#2).\n"},
	},
	{
		rule: "invariants are tested by tests that exist", want: "R1 is defined twice",
		files: files{invariants: "### R1 One\n*Tested by*: none yet (#2).\n\n### R1 Two\n*Tested by*: none yet (#2).\n"},
	},
	{
		rule: "code cites invariants that exist", want: "R7 is not in",
		files:   files{"raft/a.go": "package raft\n// f keeps it (R7).\nfunc f() {}\n"},
		allowed: files{"raft/a.go": "package raft\n// f keeps it (R1); S3 is a store.\nfunc f() {}\n", invariants: "### R1 One\n"},
	},
	{
		rule: "code cites invariants that exist", want: "R8 is not in",
		files: files{"raft/a.go": "package raft\nfunc f() { panic(\"R8: term 3, was 4\") }\n"},
	},
	{
		rule: "snippets of documents are code that compiles", want: "Go block 1 is in no Go file",
		files:   files{"docs/machines.md": "```go\nx := 1\n```\n"},
		allowed: files{"docs/machines.md": "```go\nfunc f() {\n    x()\n}\n```\n", "machine/a.go": "package machine\n\nfunc f() {\n\tx()\n}\n"},
	},
	{
		rule: "snippets of documents are code that compiles", want: "is not of examples/readme/main.go",
		files: files{"README.md": "```go\nfunc f() {}\n```\n", "machine/a.go": "package machine\nfunc f() {}\n"},
	},
	{
		rule: "snippets of documents are code that compiles", want: "the command is missing: go test",
		files: files{"README.md": "# X\n"},
	},
	{
		rule: "links of documents lead somewhere", want: "docs/gone.md leads nowhere",
		files:   files{"README.md": "[x](docs/gone.md)\n"},
		allowed: files{"README.md": "[x](docs/here.md#part) [y](https://example.com) `[z](gone)`\n", "docs/here.md": "\n"},
	},
	{
		rule: "formats have golden files and fuzz targets", want: "wal_v1.hex does not exist",
		files:   files{formats: "`internal/wire/testdata/wal_v1.hex`\n"},
		allowed: files{formats: "[wal](wal.md) `a/testdata/wal_v1.hex` `FuzzA` `text`\n", "docs/formats/wal.md": "\n", "a/testdata/wal_v1.hex": "0\n", "a/a_test.go": "package a\nfunc FuzzA() {}\n"},
	},
	{
		rule: "formats have golden files and fuzz targets", want: "FuzzB is not named",
		files: files{formats: "\n", "a/a_test.go": "package a\nfunc FuzzB() {}\n"},
	},
	{
		rule: "formats have golden files and fuzz targets", want: "wal_v2.hex is not named",
		files: files{formats: "`a/testdata/wal_v1.hex`\n", "a/testdata/wal_v1.hex": "0\n", "a/testdata/wal_v2.hex": "0\n"},
	},
	{
		rule: "formats have golden files and fuzz targets", want: "docs/formats/wal.md is not named",
		files: files{formats: "\n", "docs/formats/wal.md": "\n"},
	},
	{
		rule: "known bugs have a mutant or an issue", want: "TestGone does not exist",
		files:   files{scenarios: "| 1 | a bug | `TestGone` |\n"},
		allowed: files{scenarios: "| 1 | a bug | `TestHere`, open (#4) |\n", "raft/a_test.go": "package raft\nfunc TestHere() {}\n"},
	},
	{
		rule: "known bugs have a mutant or an issue", want: "row 1 names no mutant",
		files:   files{scenarios: "| 1 | a bug of `raft` | `TestHere` |\n", "raft/a_test.go": "package raft\nfunc TestHere() {}\n"},
		allowed: files{scenarios: "| 1 | a bug | impossible: nobody can |\n| 2 | another | `TestHereBug3Bug2`, `sim/mutants/x_bug2.patch` |\n", "sim/mutants/x_bug2.patch": "\n", "raft/a_test.go": "package raft\nfunc TestHereBug3Bug2() {}\n"},
	},
	{
		rule: "known bugs have a mutant or an issue", want: "row 1 names no test or script of its number",
		files: files{scenarios: "| 1 | a bug | `sim/mutants/x_bug1.patch` |\n", "sim/mutants/x_bug1.patch": "\n"},
	},
	{
		rule: "known bugs have a mutant or an issue", want: "row 3 stands at place 2",
		files: files{scenarios: "| 1 | a bug | open (#4) |\n| 3 | another | open (#4) |\n"},
	},
	{
		rule: "known bugs have a mutant or an issue", want: "row 2 does not name raft/testdata/x_bug2.txt",
		files:   files{scenarios: "| 1 | a bug | open (#4) |\n| 2 | another | open (#4) |\n", "raft/testdata/x_bug2.txt": "\n"},
		allowed: files{scenarios: "| 1 | a bug | open (#4) |\n| 2 | another | `raft/testdata/x_bug2.txt`, open (#4) |\n", "raft/testdata/x_bug2.txt": "\n"},
	},
	{
		rule: "patches of mutants fit the tree", want: "sim/mutants/x.patch: a/a.go has no lines",
		files:   files{"sim/mutants/x.patch": "Mutant: x\n\n--- a/a/a.go\n+++ b/a/a.go\n@@ -1,2 +1,1 @@\n package a\n-var gone int\n", "a/a.go": "package a\n"},
		allowed: files{"sim/mutants/x.patch": "Mutant: x\n\n--- a/a/a.go\n+++ b/a/a.go\n@@ -1,2 +1,1 @@\n package a\n-var here int\n", "a/a.go": "package a\nvar here int\n"},
	},
	{
		rule: "patches of mutants fit the tree", want: "sim/mutants/x.patch: a/b.go does not exist",
		files: files{"sim/mutants/x.patch": "Mutant: x\n\n--- a/a/b.go\n+++ b/a/b.go\n@@ -1,1 +1,1 @@\n-package a\n+package b\n"},
	},
	{
		rule: "promises are shown by tests that exist", want: "TestGone does not exist",
		files: files{showing[0]: "| a fault | `TestGone` |\n"},
	},
}

type files = map[string]string

// replicaTypes is what checkReplica wants of package raft.
const replicaTypes = "package raft\ntype Replica struct{}\ntype Input struct{ Now int }\ntype Ready struct{ Messages, AfterSave, Deadline int }\n"

func TestEveryRuleBites(t *testing.T) {
	bitten := map[string]bool{}
	for _, p := range planted {
		bitten[p.rule] = true
		t.Run(p.rule+"/"+p.want, func(t *testing.T) {
			for _, r := range rules {
				if r.name != p.rule {
					continue
				}
				if problems := problemsOf(t, r, p.files); !strings.Contains(strings.Join(problems, "\n"), p.want) {
					t.Errorf("the rule let it pass; it said %q", problems)
				}
				if problems := problemsOf(t, r, p.allowed); len(problems) > 0 {
					t.Errorf("the rule refuses what is right: %q", problems)
				}
				return
			}
			t.Errorf("there is no rule %q", p.rule)
		})
	}
	for _, r := range rules {
		if !bitten[r.name] {
			t.Errorf("no breach of rule %q is planted", r.name)
		}
	}
}

func problemsOf(t *testing.T, r rule, texts map[string]string) []string {
	t.Helper()
	house, err := newTree(texts)
	if err != nil {
		t.Fatal(err)
	}
	return r.check(house)
}
