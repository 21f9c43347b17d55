package cli

import (
	"errors"
	"fmt"
	"maps"
	"math"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/lockstep-rsm/lockstep/server"
)

// settings holds the options of serve. Each comes from its flag, else from LOCKSTEP_ and its name in
// capitals, else from the file, else it has its default.
type settings struct {
	options          server.Options
	data             string
	logForm, logFrom string
	command          *cobra.Command    // has their flags
	names            []string          // of the flags
	takes            map[string]string // by name in the file: what it takes, and an example
}

// flagValue is what a flag keeps its value in.
type flagValue interface {
	String() string
	Set(text string) error
	Type() string
}

// newSettings adds the flags to a command.
func newSettings(c *cobra.Command) *settings {
	s := &settings{command: c, takes: map[string]string{}}
	o := &s.options
	s.text(&s.data, "data", "lockstep-data/1", "directory of this host: log and snapshots", "a directory: /var/lib/lockstep")
	s.text(&o.Client, "client", "127.0.0.1:2379", "where to listen for clients", "an address: 127.0.0.1:2379")
	s.text(&o.Endpoint, "endpoint", "", "host:port under which clients reach it, if not --client", "an address: 10.0.0.1:2379")
	s.text(&o.Name, "name", "", "name in member lists, if not its number", "a name: alpha")
	s.text(&o.Host.Addr, "host", "127.0.0.1:2380", "host:port that other hosts dial", "an address: 10.0.0.1:2380")
	s.text(&o.Host.Listen, "listen", "", "where to listen for other hosts, if not --host", "an address: 0.0.0.0:2380")
	s.add("founders", (*list)(&o.Host.Founders), "--host of every founder, the same list on each host; ignored once --data belongs to a cluster", "a list of addresses: [10.0.0.1:2380, 10.0.0.2:2380, 10.0.0.3:2380]")
	s.text(&o.Host.Join, "join", "", "first start only: token of a running cluster, from lockstep member add", "a token: lockstep-join-…")
	s.text(&o.Cert, "cert", "", "file of the certificate for clients", "a file: server.pem")
	s.text(&o.Key, "key", "", "file of its key", "a file: server.key")
	s.text(&o.CA, "ca", "", "file of authorities whose clients are let in", "a file: ca.pem")
	c.Flags().BoolVar(&o.Insecure, "insecure", false, "allow plaintext beyond loopback")
	s.know("insecure", "true or false: true")
	s.duration(&o.Host.Heartbeat, "heartbeat", "between heartbeats of a leader (default 100ms)", "100ms")
	s.duration(&o.Host.ElectionTimeout, "election-timeout", "shorter bound of the wait for a leader (default 400ms)", "400ms")
	s.duration(&o.Host.MaxElectionTimeout, "max-election-timeout", "how long slow links and disks may make it (default 5 times as long)", "2s")
	s.duration(&o.WatchProgress, "watch-progress", "between progress notifications of watches (default 10m)", "10m")
	s.add("max-wal-bytes", (*bytesValue)(&o.Host.MaxWALBytes), "bound of the log on disk (default 4GiB)", "a size: 4GiB")
	s.add("wal-segment-bytes", (*bytesValue)(&o.Host.WALSegmentBytes), "one file of the log, made ahead; at most a quarter of the log (default 64MiB)", "a size: 64MiB")
	s.add("snapshot-after-bytes", (*bytesValue)(&o.Host.SnapshotAfterBytes), "log after which a snapshot is taken (default 256MiB)", "a size: 256MiB")
	c.Flags().BoolVar(&o.Host.Fdatasync, "fdatasync", false, "write the log through the page cache, never O_DIRECT")
	s.know("fdatasync", "true or false: true")
	s.text(&s.logForm, "log", "text", "form of the log: text or json", "text or json: json")
	s.text(&s.logFrom, "log-level", "info", "debug, info, warn or error", "a level: info")
	return s
}

func (s *settings) know(name, takes string) {
	s.names = append(s.names, name)
	s.takes[inFile(name)] = takes
}

func (s *settings) add(name string, v flagValue, help, takes string) {
	s.command.Flags().Var(v, name, help)
	s.know(name, takes)
}

func (s *settings) text(at *string, name, value, help, takes string) {
	s.command.Flags().StringVar(at, name, value, help)
	s.know(name, takes)
}

func (s *settings) duration(at *time.Duration, name, help, example string) {
	s.command.Flags().DurationVar(at, name, 0, help)
	s.know(name, "a duration: "+example)
}

func inFile(flag string) string { return strings.ReplaceAll(flag, "-", "_") }

func inEnv(flag string) string { return "LOCKSTEP_" + strings.ToUpper(inFile(flag)) }

// fill takes what no flag gave from the environment, and what is missing then from a file.
func (s *settings) fill(getenv func(string) string, file string) error {
	var given []string
	for _, name := range s.names {
		flag := s.command.Flags().Lookup(name)
		text := getenv(inEnv(name))
		if flag.Changed || text == "" {
			if flag.Changed {
				given = append(given, name)
			}
			continue
		}
		if err := flag.Value.Set(text); err != nil {
			return usage(fmt.Errorf("%s is %q. It takes %s", inEnv(name), text, s.takes[inFile(name)]))
		}
		given = append(given, name)
	}
	if file == "" {
		return nil
	}
	return s.read(file, given)
}

// ofService are the names by which Kubernetes tells of a service that is called lockstep: no misspelt ones.
var ofService = regexp.MustCompile(`^LOCKSTEP_(.*_)?(SERVICE_HOST|SERVICE_PORT.*|PORT(_.*)?)$`)

// misspelt refuses a variable of the environment whose name is nearly that of a setting. One that
// resembles none is somebody else's.
func (s *settings) misspelt(environ []string) error {
	for _, line := range environ {
		name, _, _ := strings.Cut(line, "=")
		word, ours := strings.CutPrefix(name, "LOCKSTEP_")
		word = strings.ToLower(word)
		if _, known := s.takes[word]; !ours || known || name == lifelineEnv || word == "endpoints" || ofService.MatchString(name) {
			continue
		}
		near := nearest(word, slices.Sorted(maps.Keys(s.takes)))
		begins := len(word) > 3 && strings.HasPrefix(near, word)
		if near != "" && (begins || distance(word, near) <= max(1, len(word)/3)) {
			flag := strings.ReplaceAll(near, "_", "-")
			return usage(fmt.Errorf("unknown option %s in the environment; did you mean %s? It takes %s", name, inEnv(flag), s.takes[near]))
		}
	}
	return nil
}

// list is a flag of several addresses, with commas between.
type list []string

func (l *list) String() string { return strings.Join(*l, ",") }

// Type is shown in the help.
func (l *list) Type() string { return "addresses" }

// Set replaces the list.
func (l *list) Set(text string) error {
	*l = nil
	for _, e := range strings.Split(text, ",") {
		if e = strings.TrimSpace(e); e != "" {
			*l = append(*l, e)
		}
	}
	return nil
}

// bytesValue is a flag of a size.
type bytesValue int64

func (b *bytesValue) String() string {
	if *b == 0 {
		return ""
	}
	return strconv.FormatInt(int64(*b), 10)
}

// Type is shown in the help.
func (b *bytesValue) Type() string { return "size" }

// Set takes a number, alone or with KiB, MiB or GiB.
func (b *bytesValue) Set(text string) error {
	digits, unit := text, int64(1)
	for suffix, n := range map[string]int64{"KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30} {
		if rest, ok := strings.CutSuffix(text, suffix); ok {
			digits, unit = strings.TrimSpace(rest), n
		}
	}
	n, err := strconv.ParseInt(digits, 10, 64)
	if err != nil || n < 0 || n > math.MaxInt64/unit {
		return errors.New("want a size such as 64MiB")
	}
	*b = bytesValue(n * unit)
	return nil
}
