package host

import (
	"errors"
	"testing"
)

// A group that is closed while calls gather gives them back, and lets no more in: nothing would look
// for them again.
func TestClosedIntakeGivesBackWhatGathers(t *testing.T) {
	g := &group{h: &Host{}}
	g.intake.callsGather = true // a turn is to come by itself
	c := newCalls(3)
	for i := range 2 {
		if err := g.accept(c[i]); err != nil {
			t.Fatal(err)
		}
	}
	g.intake.readsGather = true
	if err := g.acceptRead(&readCall{}); err != nil {
		t.Fatal(err)
	}
	calls, reads := g.intake.refuse(ErrClosed)
	wantCalls(t, "given back", calls, c[:2]...)
	if len(reads) != 1 {
		t.Errorf("%d reads are given back, want 1", len(reads))
	}
	if err := g.accept(c[2]); !errors.Is(err, ErrClosed) {
		t.Errorf("accepted behind the end: %v", err)
	}
	if err := g.acceptRead(&readCall{}); !errors.Is(err, ErrClosed) {
		t.Errorf("read is accepted behind the end: %v", err)
	}
}
