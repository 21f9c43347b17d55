package host

import (
	"fmt"
	"time"

	"github.com/lockstep-rsm/lockstep/internal/session"
	"github.com/lockstep-rsm/lockstep/raft"
)

// longestTTL is the longest life of a session or a token that makes sense to anybody.
const longestTTL = 10 * 365 * 24 * time.Hour

// withSettings is now with those settings of to that users may choose.
func withSettings(now raft.Settings, to *raft.Settings) raft.Settings {
	now.Version, now.MaxEntryBytes = to.Version, to.MaxEntryBytes
	now.MaxSessions, now.SessionTTL = to.MaxSessions, to.SessionTTL
	now.MaxTokens, now.TokenTTL, now.MaxResultBytes = to.MaxTokens, to.TokenTTL, to.MaxResultBytes
	now.Lease, now.MaxDriftPPM = to.Lease, to.MaxDriftPPM
	now.Halt = haltAfter(now.Halt, to.Halt)
	if to.SkipIndex > 0 {
		now.SkipIndex, now.SkipOrdinal = to.SkipIndex, to.SkipOrdinal
	}
	return now
}

// haltAfter is what a change from now to another one comes to: the end of a group is for good, and why its
// writes are stopped already, an operator need not know.
func haltAfter(now, to raft.Halt) raft.Halt {
	switch {
	case now == raft.HaltEnd || to == raft.HaltEnd:
		return raft.HaltEnd
	case to != raft.HaltNone && now != raft.HaltNone:
		return now
	}
	return to
}

// checkSettings says which setting is out of range, and what it may be; empty: none.
func checkSettings(s *raft.Settings) string {
	ttl := fmt.Sprintf("is between 1 ms and %v", longestTTL)
	switch {
	case s.MaxEntryBytes < 1 || s.MaxEntryBytes > 64*mib:
		return "Settings.MaxEntryBytes is between 1 and 64 MiB"
	case s.MaxSessions < 1 || s.MaxSessions > session.MostSessions:
		return fmt.Sprintf("Settings.MaxSessions is between 1 and %d", session.MostSessions)
	case s.SessionTTL < int64(time.Millisecond) || s.SessionTTL > int64(longestTTL):
		return "Settings.SessionTTL " + ttl
	case s.MaxTokens < 1 || s.MaxTokens > session.MostTokens:
		return fmt.Sprintf("Settings.MaxTokens is between 1 and %d", session.MostTokens)
	case s.TokenTTL < int64(time.Millisecond) || s.TokenTTL > int64(longestTTL):
		return "Settings.TokenTTL " + ttl
	case s.MaxResultBytes < 1 || s.MaxResultBytes > session.MostResultBytes:
		return fmt.Sprintf("Settings.MaxResultBytes is between 1 and %d", session.MostResultBytes)
	case s.Lease < 0 || s.Lease > int64(time.Minute):
		return "Settings.Lease is at most a minute"
	case s.MaxDriftPPM < 1 || s.MaxDriftPPM > 900_000:
		return "Settings.MaxDriftPPM is between 1 and 900,000"
	}
	return ""
}

// sessionLimits are the settings that bound the table of sessions.
func sessionLimits(s *raft.Settings) session.Limits {
	return session.Limits{
		MaxSessions: int(s.MaxSessions), SessionTTL: session.Time(s.SessionTTL),
		MaxTokens: int(s.MaxTokens), TokenTTL: session.Time(s.TokenTTL), MaxResultBytes: int(s.MaxResultBytes),
	}
}
