package host

import (
	"errors"
	"testing"
)

// A group that is closed while calls gather gives them back, and lets no more in: nothing would look
// for them again.
func TestClosedIntakeGivesBackWhatGathers(t *testing.T) {
	g := &group{h: &Host{}}
	g.intake.gathers = true // a turn is to come by itself
	c := newCalls(3)
	for i := range 2 {
		if err := g.accept(c[i]); err != nil {
			t.Fatal(err)
		}
	}
	wantCalls(t, "given back", g.intake.refuse(ErrClosed), c[:2]...)
	if err := g.accept(c[2]); !errors.Is(err, ErrClosed) {
		t.Errorf("accepted behind the end: %v", err)
	}
}
