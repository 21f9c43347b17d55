package machinetest

import (
	"reflect"
	"testing"
)

// warnOfFloats tells where a machine holds floating-point numbers: arm64 fuses x*y+z into one rounding,
// amd64 does not, so that replicas of both kinds would differ.
func warnOfFloats(t testing.TB, m any) {
	t.Helper()
	for _, path := range floats(reflect.TypeOf(m), "", map[reflect.Type]bool{}) {
		t.Logf("warning: %s is a floating-point number, and replicas on other processors may round it differently", path)
	}
}

func floats(t reflect.Type, path string, seen map[reflect.Type]bool) (found []string) {
	switch t.Kind() {
	case reflect.Float32, reflect.Float64, reflect.Complex64, reflect.Complex128:
		return []string{path}
	}
	if seen[t] {
		return nil
	}
	seen[t] = true
	switch t.Kind() {
	case reflect.Pointer, reflect.Slice, reflect.Array:
		return floats(t.Elem(), path, seen)
	case reflect.Map:
		return append(floats(t.Key(), path+" key", seen), floats(t.Elem(), path, seen)...)
	case reflect.Struct:
		for field := range t.Fields() {
			found = append(found, floats(field.Type, path+"."+field.Name, seen)...)
		}
	}
	return found
}
