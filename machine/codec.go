package machine

import (
	"encoding"
	"encoding/json"
	"fmt"
	"reflect"
	"strings"
)

// form is how values of one type become bytes.
type form uint8

const (
	asJSON   form = iota // all else
	asBinary             // the type has AppendBinary and UnmarshalBinary
	asBytes              // a slice of bytes, as it is
	asText               // a string, as it is
)

func formOf[T any]() form {
	p := any(new(T))
	_, appends := p.(encoding.BinaryAppender)
	_, takes := p.(encoding.BinaryUnmarshaler)
	if appends && takes {
		return asBinary
	}
	switch t := reflect.TypeFor[T](); {
	case t.Kind() == reflect.String:
		return asText
	case t.Kind() == reflect.Slice && t.Elem().Kind() == reflect.Uint8:
		return asBytes
	}
	return asJSON
}

func appendValue[T any](b []byte, f form, v *T) ([]byte, error) {
	switch f {
	case asBinary:
		return any(v).(encoding.BinaryAppender).AppendBinary(b)
	case asBytes:
		return append(b, reflect.ValueOf(v).Elem().Bytes()...), nil
	case asText:
		return append(b, reflect.ValueOf(v).Elem().String()...), nil
	}
	text, err := json.Marshal(v)
	return append(b, text...), err
}

// decodeValue fills v, which must be its zero value. A slice of bytes stays a part of data.
func decodeValue[T any](data []byte, f form, v *T) error {
	switch f {
	case asBinary:
		return any(v).(encoding.BinaryUnmarshaler).UnmarshalBinary(data)
	case asBytes:
		reflect.ValueOf(v).Elem().SetBytes(data)
		return nil
	case asText:
		reflect.ValueOf(v).Elem().SetString(string(data))
		return nil
	}
	return json.Unmarshal(data, v)
}

// checkPlain panics, naming the field, if copying a value of type t would share memory with it.
func checkPlain(t reflect.Type, path string) {
	switch t.Kind() {
	case reflect.Pointer, reflect.Map, reflect.Slice, reflect.Chan, reflect.Func, reflect.Interface, reflect.UnsafePointer:
		panic(fmt.Sprintf("%s is a %s, which a plain copy would share with the running machine: set the field Clone of the Typed", path, t.Kind()))
	case reflect.Array:
		checkPlain(t.Elem(), path+"[]")
	case reflect.Struct:
		for field := range t.Fields() {
			checkPlain(field.Type, path+"."+field.Name)
		}
	}
}

// checkSaved panics, naming the field, if encoding/json would pass over a part of a value of type t:
// a snapshot without it would be a different state.
func checkSaved(t reflect.Type, path string, seen map[reflect.Type]bool) {
	own := reflect.PointerTo(t)
	if own.Implements(reflect.TypeFor[json.Marshaler]()) || own.Implements(reflect.TypeFor[encoding.TextMarshaler]()) || seen[t] {
		return
	}
	seen[t] = true
	switch t.Kind() {
	case reflect.Pointer, reflect.Array, reflect.Slice, reflect.Map:
		checkSaved(t.Elem(), path+"[]", seen)
	case reflect.Struct:
		for field := range t.Fields() {
			at := path + "." + field.Name
			if name, _, _ := strings.Cut(field.Tag.Get("json"), ","); !field.IsExported() && !field.Anonymous || name == "-" {
				panic(fmt.Sprintf("%s is not saved by encoding/json: export it, or give the state AppendBinary and UnmarshalBinary", at))
			}
			checkSaved(field.Type, at, seen)
		}
	}
}
