package cli

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/lockstep-rsm/lockstep"
	"github.com/lockstep-rsm/lockstep/env"
	"github.com/lockstep-rsm/lockstep/server"
)

// lifelineEnv names the file descriptor whose end tells a replica that its lockstep up has gone.
const lifelineEnv = "LOCKSTEP_LIFELINE"

// graceful bounds a clean stop.
const graceful = 1500 * time.Millisecond

func (p *Program) serve() *cobra.Command {
	var s *settings
	var file string
	c := &cobra.Command{
		Use: "serve", Short: "Run one replica", Args: exactly(0),
		Long: `Run one replica, from flags, else from the environment (LOCKSTEP_ and the flag's name in capitals),
else from a file of YAML (names with underscores). The first start needs --founders, the same list on each host,
or --join, a token of a running cluster; without either the host is a cluster of one.`,
		RunE: func(c *cobra.Command, _ []string) error {
			if p.Environ != nil {
				if err := s.misspelt(p.Environ()); err != nil {
					return err
				}
			}
			if err := s.fill(p.Getenv, file); err != nil {
				return err
			}
			return p.runServer(c.Context(), s)
		},
	}
	c.Flags().StringVarP(&file, "file", "f", "", "file of YAML with options")
	s = newSettings(c)
	return c
}

func (p *Program) logger(s *settings) (*slog.Logger, error) {
	var level slog.Level
	if err := level.UnmarshalText([]byte(s.logFrom)); err != nil {
		return nil, usage(fmt.Errorf("unknown log level %q. It is debug, info, warn or error", s.logFrom))
	}
	o := &slog.HandlerOptions{Level: level}
	switch s.logForm {
	case "text":
		return slog.New(slog.NewTextHandler(p.Err, o)), nil
	case "json":
		return slog.New(slog.NewJSONHandler(p.Err, o)), nil
	}
	return nil, usage(fmt.Errorf("unknown form of log %q. It is text or json", s.logForm))
}

// runServer serves until the context or the lifeline ends.
func (p *Program) runServer(ctx context.Context, s *settings) error {
	log, err := p.logger(s)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	if err := p.holdLifeline(cancel); err != nil {
		return err
	}
	o := s.options
	o.Logger, o.Version, o.Host.Dir, o.Host.Env = log, p.Version, s.data, p.env
	if len(o.Host.Founders) == 0 && o.Host.Join == "" {
		o.Host.Founders = []string{o.Host.Addr}
	}
	running, err := server.Open(ctx, o)
	if err != nil {
		return explain(err, s)
	}
	select {
	case err := <-running.Failed():
		// Whoever started it starts it anew: only a process that reads the disk again knows what is there.
		p.abandon(running)
		return &codedError{exitFailed, fmt.Errorf("%w. See the disk of %s: lockstep doctor --data %s", err, s.data, s.data)}
	case <-ctx.Done():
	}
	log.Info("stopping")
	bound, done := context.WithTimeout(context.Background(), graceful)
	defer done()
	if err := running.Shutdown(bound); err != nil {
		return fmt.Errorf("stop: %w", err)
	}
	return nil
}

// abandon closes a server whose disk may never answer again: it waits for a moment only.
func (p *Program) abandon(running *server.Server) {
	closed := p.env.NewWaiter()
	p.env.Run("abandon", func() {
		_ = running.Close()
		closed.Wake()
	})
	_ = closed.Wait(nil, p.env.Clock().Now()+graceful) //nolint:staticcheck // the process ends either way
}

// holdLifeline stops the replica when the process that started it is gone, however it went.
func (p *Program) holdLifeline(stop func()) error {
	text := p.Getenv(lifelineEnv)
	if text == "" {
		return nil
	}
	fd, err := strconv.Atoi(text)
	if err != nil {
		return usage(fmt.Errorf("%s is %q. It takes a file descriptor", lifelineEnv, text))
	}
	line := os.NewFile(uintptr(fd), "lifeline")
	p.env.Run("lifeline", func() {
		_, _ = line.Read(make([]byte, 1)) // nothing is ever written: it returns when the other end is gone
		stop()
	})
	return nil
}

// asFlags says in a person's words what the engine says in those of lockstep.Options.
var asFlags = strings.NewReplacer(
	"Dir is empty", "--data is empty", "WatchProgress", "--watch-progress",
	"MaxElectionTimeout", "--max-election-timeout", "ElectionTimeout", "--election-timeout", "Heartbeat", "--heartbeat", "Founders", "--founders", "Join", "--join", "Host.Token gives it", "lockstep member add prints it",
	"TLS is required beyond loopback (Addr ", "plaintext between hosts is for loopback only (--host ", "); Insecure allows plaintext", "): --insecure allows it, on a network of their own",
	"Addr", "--host", "Listen", "--listen",
	"MaxWALBytes", "--max-wal-bytes", "WALSegmentBytes", "--wal-segment-bytes", "SnapshotAfterBytes", "--snapshot-after-bytes",
)

// explain makes an error of starting one that says what to do.
func explain(err error, s *settings) error {
	var used *server.InUseError
	var locked *env.LockedError
	switch {
	case errors.As(err, &used):
		return &codedError{exitFailed, fmt.Errorf("%s. Stop it, or give lockstep serve --client another port", portInUse(used.Addr))}
	case errors.Is(err, syscall.EADDRINUSE):
		addr := s.options.Host.Listen
		if addr == "" {
			addr = s.options.Host.Addr
		}
		return &codedError{exitFailed, fmt.Errorf("%s. Stop it, or give lockstep serve --host another port", portInUse(addr))}
	case errors.As(err, &locked):
		return &codedError{exitFailed, errors.New(dirInUse(s.data, locked))}
	case errors.Is(err, server.ErrPlaintext):
		return usage(fmt.Errorf("%w: clients at %s could be overheard. Give --cert and --key, or allow it with --insecure", server.ErrPlaintext, s.options.Client))
	case errors.Is(err, lockstep.ErrOptions):
		return usage(errors.New(asFlags.Replace(err.Error())))
	}
	return &codedError{exitFailed, err}
}

// portInUse says who has a port, as far as this system tells.
func portInUse(addr string) string {
	_, port, err := net.SplitHostPort(addr)
	if err != nil {
		port = addr
	}
	if pid, name := whoListens(port); pid != 0 {
		return fmt.Sprintf("port %s is in use by pid %d (%s)", port, pid, name)
	}
	return fmt.Sprintf("port %s is in use", port)
}

// dirInUse says who has a data directory.
func dirInUse(dir string, by *env.LockedError) string {
	return fmt.Sprintf("data directory %s is in use by %s. One directory serves one process", dir, holder(by))
}

// holder names who has a lock, as far as this system tells: of a replica, the lockstep up that would start it again.
func holder(by *env.LockedError) string {
	owner := by.Owner
	if pid, err := strconv.Atoi(strings.TrimPrefix(owner, "pid ")); err == nil {
		if starter := starterOf(pid); starter != 0 {
			owner = fmt.Sprintf("pid %d", starter)
		}
	}
	if owner == "" {
		return "another process"
	}
	return owner + describeOwner(owner)
}
