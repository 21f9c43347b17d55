package lockstep

import (
	"context"

	"github.com/lockstep-rsm/lockstep/internal/host"
	"github.com/lockstep-rsm/lockstep/raft"
)

// Session is a client's register in a group's log. Its commands are sent again, across leaders, until they
// are answered, and each runs at most once: exactly once if Propose returns a result or a refusal. Up to 64
// are under way at a time; more wait. A session lives as long as its host's process, and while it is used:
// after Settings.SessionTTL without a command, or when Settings.MaxSessions others have been used since, it
// is evicted, and every further command is ErrEvicted, and not run.
type Session struct {
	g *Group
	s *host.Session
}

// Session registers one in the log. Errors: as of Propose.
func (g *Group) Session(ctx context.Context) (*Session, error) {
	if err := g.refuse("Session"); err != nil {
		return nil, err
	}
	s, err := g.h.OpenSession(ctx, raft.GroupID(g.id))
	if err != nil {
		return nil, fault("Session", g.id, err)
	}
	return &Session{g: g, s: s}, nil
}

// Propose sends cmd until it is answered or ctx ends (CallTimeout, where it has no deadline), and returns
// the machine's one reply to it. Of an error OutcomeOf says what is known: one that is Unknown may have run,
// once. ErrForgotten, which is Committed, has run, and its result was more than is kept.
func (s *Session) Propose(ctx context.Context, cmd []byte) (Result, error) {
	r, err := s.s.Propose(ctx, cmd)
	return result(r), fault("Propose", s.g.id, err)
}

// Read is Group.Read; at level AtLeast it sees the session's own writes.
func (s *Session) Read(ctx context.Context, query []byte, opts ReadOptions) (Result, error) {
	if opts.Level == AtLeast {
		opts.After = max(opts.After, Index(s.s.Seen()))
	}
	return s.g.Read(ctx, query, opts)
}

// Close ends the session: its place is free for another. Commands that are under way become ErrEvicted,
// if they have not run.
func (s *Session) Close(ctx context.Context) error {
	return fault("Close", s.g.id, s.s.Close(ctx))
}
