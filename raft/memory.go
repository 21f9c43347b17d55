package raft

// Memory is that of Readies which have been obeyed, for later ones. Replicas that are never stepped at the
// same time may share one, by Options.Memory: a host with many groups then keeps as much as one turn takes, not as much as all
// groups do.
type Memory struct {
	events   [][]Event
	messages [][]Message
	readies  []*Ready // empty
}

// Most of what is kept: of larger bursts the memory goes back.
const (
	keptReadies = 256
	keptEvents  = 64
	keptSent    = 16
)

// Reuse takes back the Messages and Events of a Ready that the caller has read and holds no part of. Nothing
// requires it.
func (m *Memory) Reuse(rd *Ready) {
	m.events = keep(m.events, rd.Events, keptEvents)
	m.ReuseMessages(rd.Messages)
	rd.Events, rd.Messages = nil, nil
}

// ReuseMessages takes back messages that were sent, those of AfterSave for one.
func (m *Memory) ReuseMessages(sent []Message) { m.messages = keep(m.messages, sent, keptSent) }

func keep[T any](kept [][]T, used []T, most int) [][]T {
	if cap(used) == 0 || cap(used) > most || len(kept) >= keptReadies {
		return kept
	}
	clear(used)
	return append(kept, used[:0])
}

func keepOne[T any](kept []T, used T) []T {
	if len(kept) >= keptReadies {
		return kept
	}
	return append(kept, used)
}

// fromKept is the memory that a slice begins with.
func fromKept[T any](kept *[][]T) []T {
	n := len(*kept)
	if n == 0 {
		return nil
	}
	s := (*kept)[n-1]
	*kept = (*kept)[:n-1]
	return s
}
