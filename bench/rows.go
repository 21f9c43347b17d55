package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// minimumFree is the room on the disk that a point needs before it starts.
const minimumFree = 8 << 30

// name of the row that the settings make.
func (s *settings) name() string {
	switch s.Do {
	case "trace":
		return fmt.Sprintf("trace of one client, %d B", s.Size)
	case "failover":
		if s.Election > 0 {
			return fmt.Sprintf("failover, heartbeat %v, election %v", s.Heartbeat, s.Election)
		}
		return "failover, default timings"
	case "restart", "memory":
		return fmt.Sprintf("%s, %d puts, %d B", s.Do, s.Puts, s.Size)
	case "idle":
		if s.Groups > 0 {
			return fmt.Sprintf("idle for %v, %d groups", s.Duration, s.Groups)
		}
		return fmt.Sprintf("idle for %v after %d puts", s.Duration, s.Puts)
	case "read":
		return fmt.Sprintf("read, %d clients, %d B, %d%% writes", s.Clients, s.Size, s.Writes)
	case "groups":
		if s.Crowd > 0 {
			return fmt.Sprintf("%d groups, %d clients, %d B, beside %d of one group", s.Groups, s.Clients, s.Size, s.Crowd)
		}
		return fmt.Sprintf("%d groups, %d clients, %d B", s.Groups, s.Clients, s.Size)
	case "snapshot":
		return fmt.Sprintf("snapshot of %d MiB, %d clients, %d B", s.State>>20, s.Clients, s.Size)
	}
	name := fmt.Sprintf("%s, %d clients, %d B", s.Do, s.Clients, s.Size)
	if s.Pipelined {
		name += ", pipelined"
	}
	return name
}

// keyOf is the value that peers are compared by.
func (s *settings) key() string {
	switch {
	case s.Do == "trace":
		return "answered µs"
	case s.Do == "failover":
		return "failover ms"
	case s.Do == "restart":
		return "caught up ms"
	case s.Do == "memory":
		return "leader peak RSS MiB"
	case s.Do == "idle":
		return "% of a core"
	case s.Do == "snapshot":
		return "p99 µs during"
	case s.Clients == 1:
		return "p50 µs"
	}
	return "op/s"
}

// failedMark begins the reason of a point that failed.
const failedMark = "failed: "

// run measures all points of a row, interleaved, and prints the report.
func (s *settings) run() error {
	var points []point
	var failed error
	for round := 1; round <= s.rounds; round++ {
		of, err := s.round(round)
		if err != nil {
			return err
		}
		points = append(points, of...)
	}
	for _, p := range points {
		if reason, ok := strings.CutPrefix(p.Unable, failedMark); ok {
			failed = errors.Join(failed, errors.New(reason))
		}
	}
	fmt.Printf("\n%s\n", s.name())
	report(os.Stdout, s.name(), s.key(), points)
	return failed
}

// round measures each peer once, each round in another order. A peer that fails has a point that says
// so: the others' points are worth having.
func (s *settings) round(round int) (points []point, err error) {
	peers := strings.Split(s.peers, ",")
	for i := range peers {
		peer := peers[(i+round)%len(peers)]
		p, err := s.measure(peer, round)
		if err != nil {
			p = point{Row: s.name(), Peer: peer, Round: round, Unable: failedMark + err.Error()}
		}
		points = append(points, p)
		if err := s.keep(p); err != nil {
			return nil, err
		}
	}
	return points, nil
}

// measure takes a point, up to three times until others were quiet, and returns the quietest.
func (s *settings) measure(peer string, round int) (best point, err error) {
	for attempt := range 3 {
		if attempt > 0 && !s.end.IsZero() && time.Now().After(s.end) {
			break
		}
		awaitQuiet(s.noise, s.patience)
		p, err := s.attempt(peer)
		if err != nil {
			return point{}, err
		}
		if attempt == 0 || p.Foreign < best.Foreign {
			best = p
		}
		if best.Foreign < s.noise || p.Unable != "" {
			break
		}
	}
	best.Row, best.Round, best.Noisy = s.name(), round, best.Foreign >= s.noise
	if best.Noisy && s.strict {
		return point{}, fmt.Errorf("measure %s: others took %.2f cores meanwhile; run it on a quiet machine", peer, best.Foreign)
	}
	return best, nil
}

func (s *settings) attempt(peer string) (point, error) {
	t := s.task
	t.Peer, t.Dir = peer, filepath.Join(s.Dir, peer)
	if t.Profile != "" {
		t.Profile += "-" + peer
	}
	if err := os.RemoveAll(t.Dir); err != nil {
		return point{}, err
	}
	defer os.RemoveAll(s.Dir)
	if err := os.MkdirAll(t.Dir, 0o700); err != nil {
		return point{}, err
	}
	if free := freeBytes(t.Dir); free < minimumFree {
		return point{}, fmt.Errorf("measure %s: %d MiB are free under %s, a run needs %d", peer, free>>20, s.Dir, minimumFree>>20)
	}
	bound := 6*time.Minute + 2*t.Duration
	if !s.end.IsZero() {
		bound = min(bound, time.Until(s.end)+time.Minute)
	}
	return runChild(t, bound)
}

// keep prints a point and appends it to the file of points.
func (s *settings) keep(p point) error {
	fmt.Fprintf(os.Stderr, "round %d %-20s foreign %.2f", p.Round, p.Peer, p.Foreign)
	for _, v := range p.Values {
		fmt.Fprintf(os.Stderr, "  %s %s", short(v.Number), v.Name)
	}
	fmt.Fprintln(os.Stderr, "  "+p.Unable)
	if s.out == "" {
		return nil
	}
	f, err := os.OpenFile(s.out, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return fmt.Errorf("open points: %w", err)
	}
	if err := json.NewEncoder(f).Encode(p); err != nil {
		f.Close()
		return fmt.Errorf("append point: %w", err)
	}
	return f.Close()
}

// reportFiles reports rows of earlier runs: the first argument is the value to compare by.
func reportFiles(args []string) error {
	points, err := readPoints(args[1:])
	if err != nil {
		return err
	}
	var rows []string
	for _, p := range points {
		if !slices.Contains(rows, p.Row) {
			rows = append(rows, p.Row)
		}
	}
	for _, row := range rows {
		fmt.Printf("\n%s\n", row)
		report(os.Stdout, row, args[0], points)
	}
	return nil
}

func readPoints(names []string) (points []point, err error) {
	for _, name := range names {
		f, err := os.Open(name)
		if err != nil {
			return nil, fmt.Errorf("open points: %w", err)
		}
		defer f.Close()
		lines := bufio.NewScanner(f)
		for lines.Scan() {
			var p point
			if err := json.Unmarshal(lines.Bytes(), &p); err != nil {
				return nil, fmt.Errorf("read points of %s: %w", name, err)
			}
			points = append(points, p)
		}
	}
	return points, nil
}
