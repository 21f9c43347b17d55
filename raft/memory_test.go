package raft

import "testing"

// What a Ready holds stays its caller's until that gives it back, and no longer.
func TestMemoryOfAReadyIsSharedOnceItIsGivenBack(t *testing.T) {
	var m Memory
	a, b := &Replica{memory: &m, ready: new(Ready)}, &Replica{memory: &m, ready: new(Ready)}
	a.event(Event{Text: "a"})
	was := *a.ready
	*a.ready = Ready{}
	b.event(Event{Text: "b"})
	if was.Events[0].Text != "a" {
		t.Error("an event was overwritten before it was given back")
	}
	before := &was.Events[0]
	m.Reuse(&was)
	if was.Events != nil || before.Text != "" {
		t.Errorf("what was given back is still there: %v, %q", was.Events, before.Text)
	}
	a.event(Event{Text: "again"})
	if &a.ready.Events[0] != before {
		t.Error("memory that was given back is not used again")
	}
	a.sendAfterSave(Message{Token: 1})
	sent := a.ready.AfterSave
	m.ReuseMessages(sent)
	if b.sendAfterSave(Message{Token: 2}); &b.ready.AfterSave[0] != &sent[0] {
		t.Error("memory of messages that were sent is not used again")
	}
	big := Ready{Events: make([]Event, 0, keptEvents+1)}
	if m.Reuse(&big); len(m.events) > 0 {
		t.Error("the memory of a burst is kept")
	}
}
