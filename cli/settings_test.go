package cli

import (
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/spf13/cobra"
)

func TestMisspeltEnvironmentIsRefused(t *testing.T) {
	for line, want := range map[string]string{
		"LOCKSTEP_FONDERS=a:1":  "unknown option LOCKSTEP_FONDERS in the environment; did you mean LOCKSTEP_FOUNDERS? It takes a list of addresses",
		"LOCKSTEP_ELECTION=1s":  "did you mean LOCKSTEP_ELECTION_TIMEOUT? It takes a duration",
		"LOCKSTEP_MAX_WAL=4GiB": "did you mean LOCKSTEP_MAX_WAL_BYTES?",
		"LOCKSTEP_FOUNDERS=a:1": "", "LOCKSTEP_ENDPOINTS=a:1": "", "LOCKSTEP_LIFELINE=3": "", "HOSTS=1": "",
		"LOCKSTEP_PORT=tcp://10.0.0.1:2379": "", "LOCKSTEP_SERVICE_HOST=10.0.0.1": "", "LOCKSTEP_CLIENT_PORT_2379_TCP=x": "", // of Kubernetes
		"LOCKSTEP_REGISTRY=x": "", "LOCKSTEP_TAG=x": "",
	} {
		err := newSettings(&cobra.Command{}).misspelt([]string{"PATH=/bin", line})
		if (err == nil) != (want == "") || err != nil && (!strings.Contains(err.Error(), want) || exitCode(err) != exitUsage) {
			t.Errorf("%s gives %v, want %q", line, err, want)
		}
	}
}

// Every setting of a server comes from a flag, from the environment or from a file, in this order.
func TestSettingsComeFromFlagsEnvironmentAndFile(t *testing.T) {
	file := filepath.Join(t.TempDir(), "lockstep.yaml")
	text := "data: from-file\nclient: 127.0.0.1:1\nname: from-file\nfounders: [127.0.0.1:7, 127.0.0.1:8]\nmax_wal_bytes: 1GiB\nheartbeat: 70ms\n"
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	environment := map[string]string{
		"LOCKSTEP_CLIENT": "127.0.0.1:2", "LOCKSTEP_NAME": "from-environment", "LOCKSTEP_SNAPSHOT_AFTER_BYTES": "32MiB",
		"LOCKSTEP_ELECTION_TIMEOUT": "900ms", "LOCKSTEP_INSECURE": "true",
	}
	c := &cobra.Command{}
	s := newSettings(c)
	if err := c.ParseFlags([]string{"--name", "from-flag", "--log", "json"}); err != nil {
		t.Fatal(err)
	}
	if err := s.fill(func(name string) string { return environment[name] }, file); err != nil {
		t.Fatal(err)
	}
	o := &s.options
	for name, c := range map[string]struct{ got, want any }{
		"flag over environment and file": {o.Name, "from-flag"},
		"environment over file":          {o.Client, "127.0.0.1:2"},
		"file over default":              {s.data, "from-file"},
		"flag alone":                     {s.logForm, "json"},
		"default":                        {o.Host.Addr, "127.0.0.1:2380"},
		"list of a file":                 {[]string(o.Host.Founders), []string{"127.0.0.1:7", "127.0.0.1:8"}},
		"size of a file":                 {o.Host.MaxWALBytes, int64(1 << 30)},
		"size of the environment":        {o.Host.SnapshotAfterBytes, int64(32 << 20)},
		"duration of a file":             {o.Host.Heartbeat, 70 * time.Millisecond},
		"duration of the environment":    {o.Host.ElectionTimeout, 900 * time.Millisecond},
		"truth of the environment":       {o.Insecure, true},
	} {
		if !reflect.DeepEqual(c.got, c.want) {
			t.Errorf("%s: got %v, want %v", name, c.got, c.want)
		}
	}
}
