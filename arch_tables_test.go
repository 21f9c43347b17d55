package lockstep_test

import "regexp"

// module is the path that every package of the tree begins with; make rename rewrites it.
const module = "github.com/lockstep-rsm/lockstep"

// floors is the house, ground up: a room uses only rooms below it. A key names a folder and all
// that is in it; a key that ends in /* names each folder inside as a room of its own; the longest
// key that fits decides. A folder without a floor is refused, so that nobody builds beside the house.
var floors = map[string]int{
	"raft/quorum":       0,
	"raft/digest":       0,
	"machine":           0,
	"env":               0,
	"internal/freeport": 0,
	"web":               0,

	"raft":             1,
	"internal/session": 1,
	"machine/*":        1,
	"sim/world":        1,

	"internal/wire": 2,

	"internal/snapshot": 3,

	"internal/wal":       4,
	"internal/transport": 4,

	"internal/host": 5,

	".":         6,
	"sim/check": 6,

	"sim":      7,
	"server/*": 7,

	"server": 8,
	"bench":  8,

	"cli":      9,
	"examples": 9,

	"cmd":   10,
	"e2e":   10,
	"model": 10,
	"tools": 10,
}

// testGrounds are the rooms that a test may import from any floor: the simulated world and the
// machines that tests run in it.
var testGrounds = set("sim", "sim/world", "sim/check", "machine/machinetest", "machine/counter", "internal/freeport")

// pureRooms may import the packages of pureImports and nothing else of the standard library (A1).
var (
	pureRooms   = set("raft", "raft/quorum", "raft/digest", "internal/session")
	pureImports = set("bytes", "cmp", "encoding/binary", "errors", "fmt", "iter", "maps", "math",
		"math/bits", "slices", "sort", "strconv", "strings")
)

// replicaVerbs are the methods of raft.Replica that take something: one verb, and a question about a
// range (A2). All others take nothing and return something.
var replicaVerbs = set("Step", "Entries")

// goFiles are the product files that may hold go statements (A4), and why. Everybody else starts
// tasks with env.Env.Run, so that the simulator schedules them.
var goFiles = map[string]string{
	"env/os.go": "Run and the timers of the real world",
}

// goRooms may hold go statements in any file.
var goRooms = map[string]string{
	"bench":    "load generators drive the engine from outside",
	"e2e":      "real processes and real clients",
	"examples": "users' programs",
	"tools":    "build tools",

	"machine/machinetest": "the suite asks Views on other goroutines, as hosts do",
}

// goTests are rooms whose test files may hold go statements: their subject is the goroutine shell on a
// real system,
// or a View that several goroutines ask at once.
var goTests = set(".", "env", "machine", "machine/*", "server", "server/*", "cli", "cmd",
	"internal/transport", "internal/wal")

// blockingRooms may block on channels, select, Cond and WaitGroup (A4). All others park in an
// env.Waiter. Tests of goTests' rooms may, too.
var blockingRooms = map[string]string{
	"env":      "the real world is made of goroutines",
	"server":   "gRPC and HTTP call on goroutines of their own",
	"server/*": "gRPC and HTTP call on goroutines of their own",
	"cli":      "signals, child processes and terminals",
	"bench":    "load generators",
	"cmd":      "the process",
	"e2e":      "real processes and real clients",
	"examples": "users' programs",
	"tools":    "build tools",

	"machine/machinetest": "the suite asks Views on other goroutines, as hosts do",

	"sim/world": "contexts of the simulated clock hand out the channel that context.Context asks for",
}

// doorRooms may reach the operating system themselves (A5). All others go through an env.Env.
var doorRooms = map[string]string{
	"env":               "it is the door",
	"server":            "listeners",
	"server/*":          "listeners",
	"cli":               "arguments, terminals, child processes",
	"cmd":               "the process",
	"bench":             "measures the real clock and disk",
	"e2e":               "real processes",
	"examples":          "users' programs",
	"tools":             "build tools",
	"model":             "says how long an exploration took, and ends with a code",
	"internal/freeport": "finds free ports for tests",
	"sim":               "keeps found seeds in testdata, reports real time spent; what it simulates stands in sim/world",

	"machine/machinetest": "measures what a View costs",
}

// closedDoors are packages that only doorRooms import. halfDoors are packages of which the others
// use nothing but these names: types, errors and pure functions. barredNames are the names of open
// packages that read the real clock, draw unseeded randomness or start goroutines.
var (
	closedDoors = set("os/exec", "os/signal", "os/user", "crypto/rand", "net/http", "net/rpc",
		"golang.org/x/sys/unix", "golang.org/x/sys/windows", "plugin", "log")
	halfDoors = map[string]map[string]bool{
		"net":          set("Conn", "Listener", "Addr", "Error", "OpError", "DNSError", "ErrClosed", "JoinHostPort", "SplitHostPort", "ParseIP", "IP"),
		"os":           set("ErrDeadlineExceeded", "ErrExist", "ErrNotExist", "ErrClosed", "PathError", "SyscallError", "NewSyscallError"),
		"crypto/tls":   set("Config", "Conn", "Client", "Server", "ConnectionState", "Certificate"),
		"syscall":      set("Errno"), // and the error numbers: errno
		"math/rand":    set("New", "NewSource", "NewZipf", "Rand", "Source", "Source64", "Zipf"),
		"math/rand/v2": set("New", "NewPCG", "NewChaCha8", "NewZipf", "Rand", "Source", "PCG", "ChaCha8", "Zipf"),
	}
	errno       = regexp.MustCompile(`^E[A-Z0-9]+$`)
	barredNames = map[string]map[string]bool{
		"time":    set("Now", "Sleep", "After", "AfterFunc", "Tick", "NewTimer", "NewTicker", "Since", "Until"),
		"context": set("WithTimeout", "WithDeadline", "WithTimeoutCause", "WithDeadlineCause", "AfterFunc"),
	}
)

// protocols are packages whose types stay in protocolRooms (A6).
var (
	protocols     = []string{"google.golang.org/grpc", "google.golang.org/protobuf", "go.etcd.io/etcd", "net/http"}
	protocolRooms = set("server", "server/*", "cli", "cmd", "bench", "e2e", "examples", "tools")
)

// byteBlind rooms leave bytes to internal/wire (A7): they import none of byteMakers, but for the files
// of ownBytes.
var (
	ownBytes = map[string]string{
		"internal/host/registry.go": "the machine of group 0: a machine's commands and state are its own bytes",
	}
	byteBlind  = set(".", "raft", "internal/wal", "internal/snapshot", "internal/transport", "internal/host")
	byteMakers = set("encoding/binary", "encoding/gob", "encoding/json", "encoding/asn1", "unsafe")
)

// testingRooms are packages for tests that are no test files: they may import testing (A12).
var testingRooms = set("machine/machinetest", "sim", "sim/world", "sim/check", "e2e", "bench", "tools")

// flagRooms may read environment variables and flags (A12): one binary, one way to set it.
var flagRooms = set("cli", "cmd", "bench", "e2e", "tools", "model", "examples", "sim")

// buildTags are the words that a go:build line may use (A12): platforms, never tests.
var buildTags = set("linux", "darwin", "windows", "js", "wasm", "unix", "amd64", "arm64")

// inits are files that may hold an init function, and why.
var inits = map[string]string{}

// dependencies are the modules that code of this module imports, and why each is not written here
// (A13). The closure of the root package is rootClosure and the standard library.
var (
	dependencies = map[string]string{
		"github.com/anishathalye/porcupine":   "tests: the independent judge of linearizability",
		"github.com/cockroachdb/datadriven":   "tests: scripts with golden output",
		"github.com/goccy/go-yaml":            "strict YAML with line, column and caret",
		"github.com/google/go-cmp":            "tests: differences that a person can read",
		"github.com/jedib0t/go-pretty/v6":     "tables and progress of the command line",
		"github.com/prometheus/client_golang": "metrics in the format that everybody scrapes",
		"github.com/rogpeppe/go-internal":     "tests: testscript, for the command line",
		"github.com/spf13/cobra":              "commands, flags, help and completion",
		"github.com/tidwall/btree":            "the copy-on-write tree under machine/kv: a View in O(1)",
		"go.etcd.io/etcd/api/v3":              "messages and errors of the etcd v3 API",
		"go.uber.org/goleak":                  "tests: no goroutine is left behind",
		"golang.org/x/sys":                    "fdatasync, O_DIRECT, fallocate, locks",
		"google.golang.org/grpc":              "the transport of the etcd v3 API, for clients only",
		"google.golang.org/protobuf":          "the encoding of the etcd v3 API",
		"pgregory.net/rapid":                  "tests: drawn cases that shrink",
	}
	rootClosure = set("golang.org/x/sys")
)

// longFiles and longFunctions are ratchets: named exceptions from the limits, with the reason. They
// are to be emptied; an entry that is no longer needed is refused. Functions are "path:Name".
var (
	longFiles     = map[string]string{}
	longFunctions = map[string]string{}
)

// The limits of a file and of a function, in lines. In tests, tables do not count.
const (
	maxFileLines     = 800
	maxFunctionLines = 70
)

// bannedWords are synonyms for words of docs/GLOSSARY.md; they stand in no name of a file or package
// and in no exported identifier. bannedDrawers are names of files and packages without a subject.
// foreignRooms speak a foreign protocol, or run foreign engines, and use its words.
var (
	bannedWords   = set("node", "shard", "config", "checkpoint", "fsm", "manager", "helper", "helpers", "util", "utils")
	bannedDrawers = set("common", "base", "misc", "shared", "stuff")
	foreignRooms  = set("server/etcdapi", "cli", "bench", "e2e")
)

// sleepers are test files in which a fixed wait is the fault under test, and why.
var sleepers = map[string]string{}

// set makes a set of its arguments.
func set(names ...string) map[string]bool {
	m := make(map[string]bool, len(names))
	for _, n := range names {
		m[n] = true
	}
	return m
}
