package session

import (
	"encoding/binary"
	"strconv"
)

// Window is how many commands of one session may be under way at once: from the lowest that is not
// answered on.
const Window = 64

// Time is log time, in nanoseconds, as machine.Time.
type Time int64

// Index is an entry's place in the log, as machine.Index.
type Index uint64

// ID names a session for the life of its group; the first is 1, and none is given twice.
type ID uint64

// Token names one command, or the registration of one session. Its first eight bytes are the log time
// at which it was drawn, big-endian; the rest is random.
type Token [16]byte

// Draw makes a token of a moment and a random number.
func Draw(at Time, random uint64) (t Token) {
	binary.BigEndian.PutUint64(t[:], uint64(at))
	binary.BigEndian.PutUint64(t[8:], random)
	return t
}

// Drawn is when the token was drawn, in log time. Below zero: by nobody.
func (t Token) Drawn() Time { return Time(binary.BigEndian.Uint64(t[:])) }

// Kind says what a Header asks for.
type Kind uint8

// The kinds. What a kind does not name is zero.
const (
	Register Kind = iota + 1 // opens a session; a second one with its Token opens nothing more
	Command                  // a command of session ID: the Seq-th, while the client waits for those from Low on
	Close                    // ends session ID
	Once                     // a command under Token
	Fence                    // says what became of the command under Token, and lets it never run later
)

// Carries says whether a command's bytes stand behind a header of this kind.
func (k Kind) Carries() bool { return k == Command || k == Once }

// String names the kind.
func (k Kind) String() string {
	switch k {
	case Register:
		return "register"
	case Command:
		return "command"
	case Close:
		return "close"
	case Once:
		return "once"
	case Fence:
		return "fence"
	}
	return "kind(" + strconv.Itoa(int(k)) + ")"
}

// Header is what a command's client says to the table.
type Header struct {
	Kind  Kind
	ID    ID
	Seq   uint64 // the first is 1
	Low   uint64 // at most Seq
	Token Token
}

// Place is a command's in the log.
type Place struct {
	Index   Index
	Ordinal uint32
}

// before orders places.
func (p Place) before(q Place) bool {
	return p.Index < q.Index || p.Index == q.Index && p.Ordinal < q.Ordinal
}

// Decision says what becomes of a command.
type Decision uint8

// The decisions.
const (
	Run        Decision = iota // the machine runs it; Record its result
	Same                       // it runs already, at Place in this entry: its result is that one's
	Stored                     // it has run at Place: Result
	Lost                       // it has run at Place; its result is kept no more
	Registered                 // the session is ID
	Closed                     // the session is no more
	Evicted                    // there is no such session, or no more: not run
	Passed                     // its client was answered before, or has given it up: not run
	Never                      // it was fenced before it ran: not run, now or later
	Forgotten                  // its token is older than what is remembered: not run now
	Invalid                    // no client sends this: not run
)

// Verdict is what Decide says.
type Verdict struct {
	Decision Decision
	Place    Place  // Same, Stored, Lost: of the command that ran
	Result   []byte // Stored: as machine.Results.AppendResult has it; not to be changed
	ID       ID     // Registered
}
