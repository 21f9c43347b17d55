package host

import (
	"crypto/tls"
	"fmt"
	"log/slog"
	"runtime"
	"strings"
	"time"

	"github.com/lockstep-rsm/lockstep/env"
	"github.com/lockstep-rsm/lockstep/machine"
)

// Options of one host; package lockstep documents each field. The two types have equal fields, so
// that one converts to the other.
type Options struct {
	Dir                    string
	Machines               map[string]machine.Kind
	Addr, Listen           string
	Founders               []string
	Join                   string
	TLS                    *tls.Config
	Insecure               bool
	Logger                 *slog.Logger
	Observer               env.Observer
	Env                    env.Env
	Check                  bool
	CallTimeout            time.Duration
	Heartbeat              time.Duration
	ElectionTimeout        time.Duration
	MaxElectionTimeout     time.Duration
	MaxInboxBytes          int64
	MaxInFlightBytes       int64
	MaxApplyBytes          int64
	MaxCacheBytes          int64
	MaxWALBytes            int64
	WALSegmentBytes        int64
	SnapshotBytesPerSecond int64
	SnapshotAfterBytes     int64
	Loops, Lanes           int
	Fdatasync              bool
}

const (
	kib = int64(1) << 10
	mib = int64(1) << 20
	gib = int64(1) << 30

	// maxEntryPayload bounds the commands that one entry carries, unless a single command is longer.
	maxEntryPayload = 1 * mib
	// maxFrame holds the longest command that settings allow (64 MiB), with all that is around it.
	maxFrame = int(72 * mib)
	// marks come every so many entries or seconds; see docs/decisions/0010-marks-and-agreed-snapshots.md.
	markEvery    = 1024
	markInterval = 10 * time.Second
	// electionLimit is the longest election timeout that makes sense to anybody.
	electionLimit = 10 * time.Minute
)

// fill puts in the defaults and refuses impossible values, naming the field and what it may be.
func (o *Options) fill() error {
	setDefault(&o.CallTimeout, 10*time.Second)
	setDefault(&o.Heartbeat, 100*time.Millisecond)
	setDefault(&o.ElectionTimeout, 400*time.Millisecond)
	setDefault(&o.MaxElectionTimeout, min(5*o.ElectionTimeout, electionLimit))
	setDefault(&o.MaxInboxBytes, 64*mib)
	setDefault(&o.MaxInFlightBytes, 16*mib)
	setDefault(&o.MaxApplyBytes, 64*mib)
	setDefault(&o.MaxCacheBytes, 8*mib)
	setDefault(&o.MaxWALBytes, 4*gib)
	setDefault(&o.WALSegmentBytes, min(64*mib, o.MaxWALBytes/8))
	setDefault(&o.SnapshotBytesPerSecond, 64*mib)
	setDefault(&o.SnapshotAfterBytes, min(256*mib, o.MaxWALBytes/8))
	setDefault(&o.Loops, 1)
	setDefault(&o.Lanes, max(1, runtime.GOMAXPROCS(0)/2))
	setDefault(&o.Listen, o.Addr)
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	if o.Env == nil {
		o.Env = env.OS()
	}
	return o.check()
}

func setDefault[T comparable](field *T, value T) {
	var zero T
	if *field == zero {
		*field = value
	}
}

func (o *Options) check() error {
	switch {
	case o.Dir == "":
		return optionError("Dir", "is empty: it names the data directory")
	case len(o.Machines) == 0:
		return optionError("Machines", "names at least one machine that this binary can run")
	case o.Heartbeat < time.Millisecond || o.Heartbeat > electionLimit:
		return optionError("Heartbeat", "is between 1ms and 10m")
	case o.ElectionTimeout < 4*o.Heartbeat || o.ElectionTimeout > electionLimit:
		return optionError("ElectionTimeout", fmt.Sprintf("is at least 4 × Heartbeat (%v), at most 10m", 4*o.Heartbeat))
	case o.MaxElectionTimeout < o.ElectionTimeout || o.MaxElectionTimeout > electionLimit:
		return optionError("MaxElectionTimeout", fmt.Sprintf("is at least ElectionTimeout (%v), at most 10m", o.ElectionTimeout))
	case o.MaxInboxBytes < 64*kib:
		return optionError("MaxInboxBytes", "is at least 64 KiB")
	case o.MaxInFlightBytes < 64*kib:
		return optionError("MaxInFlightBytes", "is at least 64 KiB")
	case o.MaxApplyBytes < 64*kib:
		return optionError("MaxApplyBytes", "is at least 64 KiB")
	case o.MaxCacheBytes < 4*kib:
		return optionError("MaxCacheBytes", "is at least 4 KiB")
	case o.WALSegmentBytes < 64*kib && o.WALSegmentBytes == o.MaxWALBytes/8: // nobody gave it
		return optionError("MaxWALBytes", "is at least 512 KiB")
	case o.WALSegmentBytes < 64*kib:
		return optionError("WALSegmentBytes", "is at least 64 KiB")
	case o.MaxWALBytes < 4*o.WALSegmentBytes:
		return optionError("MaxWALBytes", "is at least 4 × WALSegmentBytes")
	case o.SnapshotBytesPerSecond < 64*kib:
		return optionError("SnapshotBytesPerSecond", "is at least 64 KiB")
	case o.SnapshotAfterBytes < 4*kib:
		return optionError("SnapshotAfterBytes", "is at least 4 KiB")
	case o.Loops < 1 || o.Loops > 1024:
		return optionError("Loops", "is between 1 and 1024")
	case o.Lanes < 1 || o.Lanes > 1024:
		return optionError("Lanes", "is between 1 and 1024")
	case o.Join != "" && len(o.Founders) > 0:
		return optionError("Join", "and Founders exclude each other: a host founds a cluster, or joins one")
	case o.Join != "" && o.Addr == "":
		return optionError("Addr", "is required with Join: the others dial it")
	}
	for name, kind := range o.Machines {
		if kind.New == nil {
			return optionError("Machines", fmt.Sprintf("entry %q has no New", name))
		}
	}
	return o.checkAddr()
}

func (o *Options) checkAddr() error {
	if o.Addr == "" {
		if len(o.Founders) > 0 {
			return optionError("Addr", "is required with Founders: it says which of them this host is")
		}
		return nil
	}
	if err := checkDialed("Addr", o.Addr); err != nil {
		return err
	}
	seen := make(map[string]bool, len(o.Founders))
	for _, f := range o.Founders {
		if err := checkDialed("Founders", f); err != nil {
			return err
		}
		if seen[f] {
			return optionError("Founders", fmt.Sprintf("names %s twice", f))
		}
		seen[f] = true
	}
	if len(o.Founders) > 0 && !seen[o.Addr] {
		return optionError("Founders", fmt.Sprintf("names every founder, this host's Addr %s too", o.Addr))
	}
	if o.TLS == nil && !o.Insecure && !loopback(o.Addr) {
		return optionError("TLS", fmt.Sprintf("is required beyond loopback (Addr %s); Insecure allows plaintext", o.Addr))
	}
	return nil
}

// checkDialed refuses an address that other hosts cannot dial. It is in their member lists for good, so that a mistake
// here is seen only when the next host is to reach this one.
func checkDialed(field, addr string) error {
	at := strings.LastIndexByte(addr, ':')
	if at < 0 || at == len(addr)-1 || strings.Trim(addr[at+1:], "0123456789") != "" {
		return optionError(field, fmt.Sprintf("has %q: it is host:port, such as 10.0.0.1:2380", addr))
	}
	switch addr[:at] {
	case "", "0.0.0.0", "[::]":
		return optionError(field, fmt.Sprintf("has %q, which others cannot dial: it is this machine's own address; Listen may be all of them", addr))
	}
	return nil
}

func optionError(field, may string) error {
	return fmt.Errorf("%w: %s %s", ErrOptions, field, may)
}

// loopback says whether addr is of this machine alone. Names other than localhost may be anywhere.
func loopback(addr string) bool {
	host := addr
	for i := len(addr) - 1; i >= 0; i-- {
		if addr[i] == ':' {
			host = addr[:i]
			break
		}
	}
	return host == "localhost" || host == "[::1]" || strings.HasPrefix(host, "127.") && strings.Trim(host, "0123456789.") == ""
}
