package host

import (
	"reflect"
	"testing"
)

// Ten thousand groups at rest are held by one process: what each takes by itself, machine and log aside, stays
// within what Go's allocator gives out as one piece of 2 KiB.
func TestGroupTakesTwoKiB(t *testing.T) {
	if n := reflect.TypeFor[group]().Size(); n > 2048 {
		t.Errorf("a group has %d bytes", n)
	}
}
