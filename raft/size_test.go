package raft

import (
	"reflect"
	"testing"
)

// A host may hold ten thousand replicas at rest.
func TestReplicaTakesOneAndAHalfKiB(t *testing.T) {
	if n := reflect.TypeFor[Replica]().Size(); n > 1536 {
		t.Errorf("a replica has %d bytes", n)
	}
}
