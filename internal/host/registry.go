package host

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/lockstep-rsm/lockstep/internal/wire"
	"github.com/lockstep-rsm/lockstep/machine"
	"github.com/lockstep-rsm/lockstep/raft"
)

// systemGroup holds the registry: which hosts and groups there are.
const (
	systemGroup     = raft.GroupID(0)
	registryMachine = "lockstep/registry"
	registryVersion = 2 // 1 knew no hosts but the mint's
)

// registry is the replicated state of group 0. No list is changed in place, so that a view shares them.
type registry struct {
	Groups []groupRecord
	Notes  []hostNote
	Hosts  []hostRecord  `json:",omitempty"` // in order of ID; none: those of the mint, nobody has joined yet
	Tokens []tokenRecord `json:",omitempty"` // that may still be used
	Gone   []groupName   `json:",omitempty"` // that were destroyed, in that order
}

// groupRecord is one group as it was founded. Everything in it is equal on all hosts.
type groupRecord struct {
	ID       raft.GroupID
	Birth    raft.Birth
	Settings raft.Settings
	Voters   []raft.Member
	Gone     bool `json:",omitempty"` // it was destroyed: only its place, id and birth are left
}

// groupName is one birth of a group.
type groupName struct {
	ID    raft.GroupID
	Birth raft.Birth
}

// destroyCommand ends one birth of a group, once.
type destroyCommand struct {
	ID    raft.GroupID
	Birth raft.Birth
}

// hostNote is what a host tells all others about itself; the newest counts.
type hostNote struct {
	Host raft.HostID
	Text string
}

// commandVersion is of what commands do, the highest that this build knows. A change of that is the next one, and is
// proposed only where the feature level of group 0 says that all hosts know it.
const commandVersion = 0

var errCommandVersion = errors.New("command of the registry is of a version that this build does not know: start a newer one")

// registryCommand has exactly one of its fields, beside the version.
type registryCommand struct {
	Version uint32          `json:",omitempty"` // of what it does
	Create  *groupRecord    `json:",omitempty"` // without Birth: it is drawn when the command runs
	Note    *hostNote       `json:",omitempty"`
	Issue   *issueCommand   `json:",omitempty"`
	Join    *joinCommand    `json:",omitempty"`
	Remove  *removeCommand  `json:",omitempty"`
	Destroy *destroyCommand `json:",omitempty"`
}

// registryQuery asks for the groups from number From on, for the destroyed ones from number Gone on, and
// all else.
type registryQuery struct {
	From int
	Gone int `json:",omitempty"`
}

// everGroups bounds the registry (A9): destroyed ones keep their place.
const everGroups = 1 << 20

var (
	errGroupExists = &machine.Refusal{Code: 100, Text: "group exists"}
	errManyGroups  = &machine.Refusal{Code: 110, Text: "cluster has had as many groups as it can"}
	errNoSuchGroup = &machine.Refusal{Code: 111, Text: "no such group"}
	errNothing     = &machine.Refusal{Code: 101, Text: "command asks for nothing"}
)

var registryKind = &machine.Typed[registry, registryCommand, registryReply, registryQuery, registry]{
	Apply: applyRegistry,
	Query: func(s *registry, q registryQuery) (registry, error) {
		return registry{Groups: s.Groups[min(max(q.From, 0), len(s.Groups)):], Notes: s.Notes, Hosts: s.Hosts, Tokens: s.Tokens, Gone: s.Gone[min(max(q.Gone, 0), len(s.Gone)):]}, nil
	},
	Clone: func(s *registry) *registry { c := *s; return &c },
}

func applyRegistry(s *registry, c registryCommand, at *machine.Command) (registryReply, error) {
	switch {
	case c.Version > commandVersion: // what a build guessed would differ from what the others know
		return registryReply{}, fmt.Errorf("%w: version %d, above %d", errCommandVersion, c.Version, commandVersion)
	case c.Create != nil:
		return s.create(c.Create, at)
	case c.Note != nil:
		notes := slices.DeleteFunc(slices.Clone(s.Notes), func(n hostNote) bool { return n.Host == c.Note.Host })
		s.Notes = append(notes, *c.Note)
		slices.SortFunc(s.Notes, func(a, b hostNote) int { return int(a.Host) - int(b.Host) })
		return registryReply{}, nil
	case c.Issue != nil:
		return registryReply{}, s.issue(c.Issue, at)
	case c.Join != nil:
		return s.join(c.Join, at)
	case c.Remove != nil:
		return registryReply{}, s.remove(c.Remove)
	case c.Destroy != nil:
		return registryReply{}, s.destroy(c.Destroy)
	}
	return registryReply{}, errNothing
}

func (s *registry) create(want *groupRecord, at *machine.Command) (registryReply, error) {
	for i := range s.Groups {
		if g := &s.Groups[i]; g.ID == want.ID && !g.Gone {
			if g.Settings.Machine != want.Settings.Machine {
				return registryReply{}, errGroupExists
			}
			return registryReply{groupRecord: *g}, nil
		}
	}
	switch {
	case !s.allBelong(want.Voters):
		return registryReply{}, errForeignVoter
	case len(s.Groups) >= everGroups:
		return registryReply{}, errManyGroups
	}
	g := *want
	birth, _ := at.Seed()
	g.Birth = raft.Birth(birth | 1)
	for i := range g.Voters {
		m := &g.Voters[i]
		m.Incarnation = replicaIncarnation(uint64(m.Incarnation), g.Birth, m.Replica)
	}
	s.Groups = append(s.Groups, g) // what views share ends before it
	return registryReply{groupRecord: g}, nil
}

// destroy ends a group. Asked again, it has ended it.
func (s *registry) destroy(c *destroyCommand) error {
	i := slices.IndexFunc(s.Groups, func(g groupRecord) bool { return g.ID == c.ID && g.Birth == c.Birth })
	switch {
	case i < 0:
		return errNoSuchGroup
	case s.Groups[i].Gone:
		return nil
	}
	s.Groups = slices.Clone(s.Groups)
	s.Groups[i] = groupRecord{ID: c.ID, Birth: c.Birth, Gone: true}
	s.Gone = append(s.Gone[:len(s.Gone):len(s.Gone)], groupName{c.ID, c.Birth})
	return nil
}

// changed is a machine of the engine's own that acts on this host after each batch.
type changed interface{ changed(h *Host) }

// registryReplica is group 0's machine on this host: the registry, and the starting of groups.
type registryReplica struct {
	machine.StateMachine
	seen, gone int // read so far, of Groups and of Gone
}

// changed ends and starts the groups that were destroyed and created since, and shows the notes. It runs on the lane.
func (r *registryReplica) changed(h *Host) {
	v := r.View()
	defer v.Close()
	q, err := registryKind.EncodeQuery(registryQuery{From: r.seen, Gone: r.gone})
	if err != nil {
		panic(fmt.Sprintf("encode registry query: %v", err))
	}
	var out bytes.Buffer
	if err := v.Query(q, &out); err != nil {
		panic(fmt.Sprintf("query registry: %v", err))
	}
	s, err := registryKind.DecodeAnswer(out.Bytes())
	if err != nil {
		panic(fmt.Sprintf("decode registry: %v", err))
	}
	r.seen, r.gone = r.seen+len(s.Groups), r.gone+len(s.Gone)
	for _, g := range s.Gone {
		h.groupGone(replicaName{g.ID, g.Birth})
	}
	s.Groups = slices.DeleteFunc(s.Groups, func(g groupRecord) bool { return g.Gone })
	h.setNotes(s.Notes)
	h.setHosts(s.Hosts, s.Tokens)
	h.rememberGroups(s.Groups)
	for _, g := range s.Groups {
		h.tasks.run("create", func() { h.startGroup(g) })
	}
}

// ConfirmNotes returns when Notes has all that was announced before.
func (h *Host) ConfirmNotes(ctx context.Context) error {
	v, _, err := h.View(ctx, systemGroup, ReadOptions{}) // its lane has shown the notes before it serves
	if err != nil {
		return err
	}
	return v.Close()
}

func (h *Host) setNotes(notes []hostNote) {
	h.mu.Lock()
	h.notes = notes
	h.mu.Unlock()
	h.wakeWatchers()
}

// systemConfiguration is group 0's first: every founder votes.
func systemConfiguration(m *wire.Mint) *raft.Configuration {
	c := &raft.Configuration{Settings: defaultSettings(registryMachine), NextReplica: raft.ReplicaID(len(m.Hosts) + 1)}
	c.Settings.Version = registryVersion
	for i, f := range m.Hosts {
		id := raft.ReplicaID(i + 1)
		c.Voters = append(c.Voters, raft.Member{Replica: id, Host: f.Host, Incarnation: replicaIncarnation(f.Incarnation, m.Birth, id)})
	}
	return c
}

func defaultSettings(name string) raft.Settings {
	return raft.Settings{
		Machine: name, Version: 1, FeatureLevel: foundingLevel, MaxEntryBytes: 1 * mib,
		MaxSessions: 4096, SessionTTL: int64(10 * time.Minute), MaxTokens: 16384, TokenTTL: int64(24 * time.Hour),
		MaxResultBytes: 16 * mib, MaxDriftPPM: 500, SnapshotFormat: wire.SnapshotFormat,
	}
}

// Create founds a group once, or finds it, and waits for ctx alone until it answers.
func (h *Host) Create(ctx context.Context, id raft.GroupID, name string, voters []raft.HostID, set func(*raft.Settings)) error {
	if id == systemGroup {
		return notCommitted(fmt.Errorf("%w: group ids begin at 1: group 0 is the engine's own", ErrOptions))
	}
	oldest, newest, ok := h.versions(name)
	if !ok || name == registryMachine {
		return notCommitted(fmt.Errorf("%w: %q is not in Options.Machines", ErrNoMachine, name))
	}
	if err := h.awaitReplica(ctx, systemGroup); err != nil {
		return err
	}
	settings := defaultSettings(name)
	settings.Version = uint32(oldest)
	set(&settings)
	if machine.Version(settings.Version) > newest {
		return notCommitted(fmt.Errorf("%w: Settings.Version cannot be run here: %s", ErrOptions, h.lacks(name, settings.Version)))
	}
	if why := checkSettings(&settings); why != "" {
		return notCommitted(fmt.Errorf("%w: %s", ErrOptions, why))
	}
	for {
		again, err := h.find(ctx, id, voters, settings)
		if !again {
			return err
		}
		if err := h.pause(ctx, foundingEvery); err != nil { // it was destroyed meanwhile
			return unknown(err)
		}
	}
}

// find creates the group, or finds it, and waits until it answers. again: what was found is no more.
func (h *Host) find(ctx context.Context, id raft.GroupID, voters []raft.HostID, settings raft.Settings) (again bool, err error) {
	if h.Replica(id) == nil {
		if _, err := h.create(ctx, id, voters, settings); err != nil {
			return false, err
		}
	}
	if err := h.awaitReplica(ctx, id); err != nil {
		return false, err
	}
	g := h.Replica(id)
	if g == nil {
		return true, nil
	}
	if got := g.conf.Load().Settings.Machine; got != settings.Machine {
		return false, notCommitted(fmt.Errorf("%w: group %d runs machine %q", ErrExists, id, got))
	}
	if err := h.awaitAnswer(ctx, id); errors.Is(err, ErrNoReplica) || errors.Is(err, ErrNoGroup) {
		return true, nil
	} else if err != nil || g.conf.Load().Settings.Halt != raft.HaltEnd {
		return false, err
	}
	// Writes are stopped to end a group: whether it has ended, the registry knows.
	r, err := h.create(ctx, id, voters, settings)
	return err == nil && r.Birth != g.birth, err
}

// create proposes the group to the registry, again and again: the command finds what it made.
func (h *Host) create(ctx context.Context, id raft.GroupID, voters []raft.HostID, settings raft.Settings) (registryReply, error) {
	record := &groupRecord{ID: id, Settings: settings}
	if len(voters) == 0 {
		sys := h.Replica(systemGroup)
		for sys == nil { // it has ended meanwhile: this host was removed
			if err := h.awaitReplica(ctx, systemGroup); err != nil {
				return registryReply{}, err
			}
			sys = h.Replica(systemGroup)
		}
		voters = hostsOf(sys.conf.Load().Voters)
	}
	for _, m := range h.members() {
		if slices.Contains(voters, m.Host) {
			// The host's incarnation; the command makes the replica's of it.
			record.Voters = append(record.Voters, raft.Member{
				Replica: raft.ReplicaID(len(record.Voters) + 1), Host: m.Host, Incarnation: raft.Incarnation(m.Incarnation),
			})
		}
	}
	if len(record.Voters) != len(voters) {
		return registryReply{}, notCommitted(fmt.Errorf("%w: GroupOptions.Voters names hosts of this cluster: %v", ErrOptions, voters))
	}
	reply, err := h.register(ctx, 0, registryCommand{Create: record})
	var no *machine.Refusal
	switch {
	case !errors.As(err, &no):
		return reply, err
	case no.Code == errGroupExists.Code:
		return reply, notCommitted(fmt.Errorf("%w: group %d", ErrExists, id))
	}
	return reply, notCommitted(fmt.Errorf("%w: %s", ErrOptions, no.Text))
}

// register runs an idempotent command on the registry until it is known to have run, or ctx ends.
// Until is when it gives up; 0: never.
func (h *Host) register(ctx context.Context, until time.Duration, c registryCommand) (registryReply, error) {
	cmd, err := registryKind.EncodeCommand(c)
	if err != nil {
		return registryReply{}, notCommitted(err)
	}
	for {
		r, err := h.Propose(ctx, systemGroup, cmd)
		if err == nil {
			return registryKind.DecodeReply(r.Data)
		}
		var no *machine.Refusal
		if errors.As(err, &no) || ctx.Err() != nil || h.closed.Load() || errors.Is(err, ErrContext) || until != 0 && h.env.Clock().Now() >= until {
			return registryReply{}, err
		}
		if err := h.pause(ctx, foundingEvery); err != nil {
			return registryReply{}, unknown(err)
		}
	}
}

// Announce tells every host a text about this one, through the log, so that all say the same.
func (h *Host) Announce(ctx context.Context, text string) error {
	if err := h.awaitReplica(ctx, systemGroup); err != nil {
		return err
	}
	_, err := h.register(ctx, 0, registryCommand{Note: &hostNote{Host: h.ID(), Text: text}})
	return err
}
