package e2e

import (
	"bytes"
	"context"
	"fmt"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

// TestThreeBecomeFiveAndThreeUnderLoad lets two servers join by a command and a token each, then takes two
// of the founders out by a command each, while clients write. Nothing acknowledged is lost, doubled or
// reordered on those that are left.
func TestThreeBecomeFiveAndThreeUnderLoad(t *testing.T) {
	c := startTrio(t, 3)
	watch := startWatcher(t.Context(), c.newClient())
	w := startCrowd(t, c, corpus(t))
	stay := &trio{t: t, replicas: c.replicas[2:3:3]}
	for i := 4; i <= 5; i++ {
		r := &replica{name: strconv.Itoa(i), dir: filepath.Join(t.TempDir(), "data"), log: filepath.Join(t.TempDir(), "log")}
		ports := freePorts(t, 2)
		r.client, r.host = ports[0], ports[1]
		token := strings.TrimSpace(memberCommand(t, c, "add", "--yes"))
		r.args = []string{"serve", "--data", r.dir, "--client", r.client, "--host", r.host, "--name", r.name, "--join", token}
		joined := &trio{t: t, replicas: []*replica{r}}
		t.Cleanup(joined.stop)
		r.start(t)
		within(t, time.Minute, "vote with the new server", func(ctx context.Context) error { return votes(ctx, c, i) })
		acknowledged(t, w, time.Now(), 20, "go on with one server more")
		stay.replicas = append(stay.replicas, r)
	}
	for id := 1; id <= 2; id++ {
		memberCommand(t, stay, "remove", strconv.Itoa(id), "--yes")
		within(t, time.Minute, "vote without a founder", func(ctx context.Context) error { return votes(ctx, stay, 5-id) })
		c.replicas[id-1].kill(t)
		acknowledged(t, w, time.Now(), 20, "go on with one server less")
	}
	w.end()
	ok, failed, reads := w.counts()
	t.Logf("%d writes acknowledged, %d requests failed, %d reads", ok, failed, reads)
	checkAll(t, stay, w, watch)
}

// votes says whether so many servers vote, and no others are there.
func votes(ctx context.Context, c *trio, n int) error {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	client := c.newClient()
	defer client.Close()
	list, err := client.MemberList(ctx)
	if err != nil {
		return err
	}
	voters := 0
	for _, m := range list.Members {
		if !m.IsLearner {
			voters++
		}
	}
	if voters != n || len(list.Members) != n {
		return fmt.Errorf("%d of %d members vote, want %d", voters, len(list.Members), n)
	}
	return nil
}

// memberCommand runs lockstep member until it succeeds, and returns what it prints.
func memberCommand(t *testing.T, c *trio, args ...string) string {
	t.Helper()
	var out bytes.Buffer
	within(t, time.Minute, "run member "+args[0], func(ctx context.Context) error {
		out.Reset()
		var said bytes.Buffer
		cmd := exec.CommandContext(ctx, program(t), append(append([]string{"member"}, args...), "--endpoints", strings.Join(c.endpoints(), ","), "--timeout", "20s")...)
		cmd.Stdout, cmd.Stderr = &out, &said
		if err := cmd.Run(); err != nil {
			return fmt.Errorf("%w: %s", err, said.String())
		}
		return nil
	})
	return out.String()
}
