package bench

import (
	"encoding/json"
	"fmt"
	"os"
)

// Format is the version of the JSON of a Report.
const Format = 1

// A Report is what one run measured. Latencies are microseconds.
type Report struct {
	Format   int     `json:"format"`
	Lockstep string  `json:"lockstep"` // version
	Time     string  `json:"time"`     // when it began, RFC 3339
	Log      string  `json:"log"`      // direct, or fdatasync: how the log was written
	Machine  Machine `json:"machine"`
	Floor    Floor   `json:"floor"`
	Rows     []Row   `json:"rows"`
}

// A Machine is what it takes alone.
type Machine struct {
	System    string `json:"system"` // such as linux/amd64
	Go        string `json:"go"`
	Cores     int    `json:"cores"`           // that Go uses
	Direct    Times  `json:"sync_direct"`     // a durable write of 4 KiB past the page cache, three files at once
	Fdatasync Times  `json:"sync_fdatasync"`  // the same through it, with fdatasync
	RoundTrip Times  `json:"round_trip"`      // 128 bytes over loopback and back
	FreeBytes int64  `json:"disk_free_bytes"` // before the run
}

// Times are percentiles of something that was repeated.
type Times struct {
	P50 float64 `json:"p50_us"`
	P99 float64 `json:"p99_us"`
}

// A Floor is the least that an operation can take on a Machine: the follower's answer is a round trip
// and a sync away, and all three replicas sync at once on one disk; a read needs no sync.
type Floor struct {
	Write float64 `json:"write_us"`
	Read  float64 `json:"read_us"`
}

// A Row is one load. It is the same load as another of the same Op, Clients and Size.
type Row struct {
	Op         string   `json:"op"` // write, read
	Clients    int      `json:"clients"`
	Size       int      `json:"size"` // bytes of a command; 0 for reads
	Seconds    float64  `json:"seconds"`
	Count      uint64   `json:"count"` // operations that ended well in the measured time
	Errors     uint64   `json:"errors"`
	Rate       float64  `json:"ops_per_second"`
	P50        float64  `json:"p50_us"`
	P90        float64  `json:"p90_us"`
	P99        float64  `json:"p99_us"`
	P999       float64  `json:"p999_us"`
	Max        float64  `json:"max_us"`
	Floor      float64  `json:"floor_us"`
	TimesFloor float64  `json:"p50_times_floor"`
	CPU        float64  `json:"cpu_us_per_op"` // of all replicas and clients
	Allocs     float64  `json:"allocs_per_op"`
	Histogram  []Bucket `json:"histogram"`
}

// A Bucket counts latencies up to a bound, and above that of the bucket before it.
type Bucket struct {
	UpToMicros float64 `json:"up_to_us"`
	Count      uint64  `json:"count"`
}

// Name is the row in words.
func (r *Row) Name() string {
	clients := "1 client"
	if r.Clients > 1 {
		clients = fmt.Sprintf("%d clients", r.Clients)
	}
	if r.Op == opRead {
		return "read, " + clients
	}
	return fmt.Sprintf("write, %s, %d B", clients, r.Size)
}

// Load reads a report that Save wrote. A newer format is an error that says so.
func Load(name string) (*Report, error) {
	b, err := os.ReadFile(name)
	if err != nil {
		return nil, fmt.Errorf("read report: %w", err)
	}
	var r Report
	if err := json.Unmarshal(b, &r); err != nil || r.Format == 0 {
		return nil, fmt.Errorf("%s is no report of lockstep bench. Write one with lockstep bench --out FILE", name)
	}
	if r.Format > Format {
		return nil, fmt.Errorf("%s has format %d, this build reads up to %d: use a newer one", name, r.Format, Format)
	}
	return &r, nil
}

// Save writes a report as JSON.
func (r *Report) Save(name string) error {
	b, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return fmt.Errorf("encode report: %w", err)
	}
	if err := os.WriteFile(name, append(b, '\n'), 0o644); err != nil {
		return fmt.Errorf("write report: %w", err)
	}
	return nil
}
