package server

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
)

// statusFields are the names in /status and the JSON types of their values. They are promised: names
// are only added.
const statusFields = `
addr string
cluster string
disk string
endpoint string
feature_level number
groups array
groups[].applied number
groups[].commit number
groups[].configuration object
groups[].configuration.index number
groups[].configuration.learners array
groups[].configuration.voters array
groups[].configuration.voters[] number
groups[].digest string
groups[].digest_index number
groups[].feature_level number
groups[].followers array
groups[].followers[].id number
groups[].followers[].lag_bytes number
groups[].followers[].lag_entries number
groups[].group number
groups[].leader number
groups[].machine string
groups[].machine_version number
groups[].role string
groups[].sessions number
groups[].snapshot number
groups[].state string
groups[].term number
groups[].tolerates number
groups[].why string
id number
inbox_bytes number
peers array
peers[].addr string
peers[].endpoint string
peers[].id number
peers[].pid number
pid number
sync_p99_ns number
syncs number
uptime_ns number
version string
wal_bytes number
wal_max_bytes number
why string
`

// fieldsOf collects the names of v into found.
func fieldsOf(found map[string]string, name string, v any) {
	kind := "number"
	switch v := v.(type) {
	case map[string]any:
		kind = "object"
		for field, value := range v {
			fieldsOf(found, strings.TrimPrefix(name+"."+field, "."), value)
		}
		if strings.HasSuffix(name, "[]") {
			return
		}
	case []any:
		kind = "array"
		for _, e := range v {
			fieldsOf(found, name+"[]", e)
		}
	case string:
		kind = "string"
	}
	if name != "" {
		found[name] = kind
	}
}

func TestStatusHasThePromisedFields(t *testing.T) {
	servers := openThree(t)
	eventually(t, func() error {
		for _, s := range servers {
			status, body := get(t, s, "/status")
			if status != 200 {
				return fmt.Errorf("/status answers %d: %s", status, body)
			}
			if !strings.Contains(body, `"role":"leader"`) || !strings.Contains(body, `"peers":[{`) {
				continue
			}
			var answer map[string]any
			if err := json.Unmarshal([]byte(body), &answer); err != nil {
				return err
			}
			found := map[string]string{}
			fieldsOf(found, "", answer)
			var lines strings.Builder
			for _, name := range slices.Sorted(maps.Keys(found)) {
				fmt.Fprintf(&lines, "%s %s\n", name, found[name])
			}
			if want := strings.TrimPrefix(statusFields, "\n"); lines.String() != want {
				return fmt.Errorf("/status has the fields\n%s\nwant\n%s", lines.String(), want)
			}
			return nil
		}
		return errors.New("no server leads")
	})
}
