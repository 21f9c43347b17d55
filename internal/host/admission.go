package host

import (
	"crypto/sha256"
	"encoding/hex"
	"slices"

	"github.com/lockstep-rsm/lockstep/machine"
	"github.com/lockstep-rsm/lockstep/raft"
)

// Which hosts belong to the cluster is the registry's to say, once one has joined or was removed.
// Until then they are those of the mint.

// hostRecord is one host that belongs to the cluster, or did: its id is never given again, and its
// directory never comes back.
type hostRecord struct {
	ID          raft.HostID
	Addr        string
	Incarnation uint64
	Removed     bool `json:",omitempty"`
}

// tokenRecord is one that was issued and not used. The secret itself is not in the log.
type tokenRecord struct {
	Secret  string // SHA-256 in hexadecimal digits
	Expires machine.Time
}

// issueCommand allows one more host to join. Founders are the mint's, for a registry without hosts.
type issueCommand struct {
	Secret   string
	For      machine.Time // nanoseconds of log time
	Founders []hostRecord
}

// joinCommand takes in a host that knows a secret. A host that is in already finds itself, and has used this token too.
type joinCommand struct {
	Secret      string
	Addr        string
	Incarnation uint64
}

// removeCommand ends a host's membership.
type removeCommand struct {
	Host     raft.HostID
	Founders []hostRecord
}

// registryReply is the group of a Create, or the host of a Join.
type registryReply struct {
	groupRecord
	Joined *hostRecord `json:",omitempty"`
}

var (
	errNoToken      = &machine.Refusal{Code: 102, Text: "token was never issued, is used or has expired: make another"}
	errManyTokens   = &machine.Refusal{Code: 103, Text: "too many tokens wait to be used: let some expire"}
	errManyHosts    = &machine.Refusal{Code: 104, Text: "cluster has as many hosts as it can"}
	errNoHost       = &machine.Refusal{Code: 105, Text: "no such host"}
	errWasRemoved   = &machine.Refusal{Code: 106, Text: "host was removed: a directory does not come back"}
	errForeignVoter = &machine.Refusal{Code: 109, Text: "a voter of the group to be is no host of the cluster, or not any more"}
	errOneHostStays = &machine.Refusal{Code: 108, Text: "the last host stays"}
)

// Bounds of the registry (A9).
const (
	maxJoinTokens = 64
	maxHosts      = 64   // at one time; their addresses have to fit into a host's identity
	everHosts     = 4096 // removed ones included
)

func secretOf(secret [16]byte) string {
	sum := sha256.Sum256(secret[:])
	return hex.EncodeToString(sum[:])
}

func (s *registry) found(founders []hostRecord) {
	if len(s.Hosts) == 0 {
		s.Hosts = founders
	}
}

// allBelong says whether voters, under their hosts' incarnations, are hosts of the cluster.
func (s *registry) allBelong(voters []raft.Member) bool {
	if len(s.Hosts) == 0 {
		return true // all there ever were
	}
	for _, m := range voters {
		if !slices.ContainsFunc(s.Hosts, func(r hostRecord) bool {
			return r.ID == m.Host && r.Incarnation == uint64(m.Incarnation) && !r.Removed
		}) {
			return false
		}
	}
	return true
}

func (s *registry) issue(c *issueCommand, at *machine.Command) error {
	s.found(c.Founders)
	s.Tokens = slices.DeleteFunc(slices.Clone(s.Tokens), func(t tokenRecord) bool { return t.Expires <= at.Time || t.Secret == c.Secret })
	if len(s.Tokens) >= maxJoinTokens {
		return errManyTokens
	}
	s.Tokens = append(s.Tokens, tokenRecord{Secret: c.Secret, Expires: at.Time + c.For})
	return nil
}

func (s *registry) join(c *joinCommand, at *machine.Command) (registryReply, error) {
	var last raft.HostID
	members := 0
	for i := range s.Hosts {
		r := s.Hosts[i]
		last = r.ID
		switch {
		case r.Incarnation == c.Incarnation && r.Removed:
			return registryReply{}, errWasRemoved
		case r.Incarnation == c.Incarnation: // it asks again: the answer was lost
			s.use(c.Secret)
			return registryReply{Joined: &r}, nil
		case !r.Removed:
			members++
		}
	}
	switch {
	case !slices.ContainsFunc(s.Tokens, func(t tokenRecord) bool { return t.Secret == c.Secret && t.Expires > at.Time }):
		return registryReply{}, errNoToken
	case members >= maxHosts, len(s.Hosts) >= everHosts:
		return registryReply{}, errManyHosts
	}
	s.use(c.Secret)
	joined := hostRecord{ID: last + 1, Addr: c.Addr, Incarnation: c.Incarnation}
	s.Hosts = append(s.Hosts[:len(s.Hosts):len(s.Hosts)], joined)
	return registryReply{Joined: &joined}, nil
}

// use ends a token, which is good once.
func (s *registry) use(secret string) {
	s.Tokens = slices.DeleteFunc(slices.Clone(s.Tokens), func(t tokenRecord) bool { return t.Secret == secret })
}

func (s *registry) remove(c *removeCommand) error {
	s.found(c.Founders)
	members := 0
	for _, r := range s.Hosts {
		if !r.Removed && r.ID != c.Host {
			members++
		}
	}
	i := slices.IndexFunc(s.Hosts, func(r hostRecord) bool { return r.ID == c.Host })
	switch {
	case i < 0:
		return errNoHost
	case members == 0:
		return errOneHostStays
	}
	s.Hosts = slices.Clone(s.Hosts)
	s.Hosts[i].Removed = true
	s.Notes = slices.DeleteFunc(slices.Clone(s.Notes), func(n hostNote) bool { return n.Host == c.Host })
	return nil
}
