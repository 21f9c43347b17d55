package main

import (
	"fmt"
	"os"
	"testing"
	"time"
)

// TestMain lets this binary be a process of a row, as the program is.
func TestMain(m *testing.M) {
	if len(os.Args) == 3 && os.Args[1] == "child" {
		if err := child(os.Args[2]); err != nil {
			fmt.Fprintln(os.Stderr, "bench:", err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

// Rows that do more than a load, each with as little work as shows that it is done.
func TestRowsDoTheirWork(t *testing.T) {
	for row, want := range map[string][]string{
		"failover": {"failover ms"},
		"restart":  {"caught up ms", "serving ms", "peak RSS MiB"},
		"memory":   {"leader peak RSS MiB", "follower peak RSS MiB", "op/s"},
		"trace":    {"leader appended µs", "follower saved µs", "committed µs", "answered µs"},
		"idle":     {"% of a core", "RSS MiB", "peak RSS MiB", "RSS KiB per group"},
	} {
		t.Run(row, func(t *testing.T) {
			p, err := runChild(task{
				Do: row, Peer: subject, Dir: t.TempDir(), Size: 128, Puts: 2000, Times: 1,
				Groups: map[string]int{"idle": 3}[row], Duration: 200 * time.Millisecond,
			}, time.Minute)
			if err != nil {
				t.Fatal(err)
			}
			for _, name := range want {
				if n, ok := p.number(name); !ok || n < 0 || n == 0 && name != "% of a core" {
					t.Errorf("%s is %v, %v", name, n, ok)
				}
			}
		})
	}
}
