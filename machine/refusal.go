package machine

import (
	"encoding/binary"
	"errors"
	"fmt"
)

// Codes below 100 are Lockstep's, codes from 100 the machine author's. Code 0 is an error that has
// only a text.
const (
	CodeMalformed   int32 = 1 // the bytes are no command, or no query, of this machine
	CodeSkipped     int32 = 2 // the operator had every replica pass over this command
	CodeUnencodable int32 = 3 // the command ran, but its result has no encoding
)

// MaxRefusalBytes bounds the text of a refusal; Results.Refuse cuts longer ones.
const MaxRefusalBytes = 4096

// A Refusal is a machine's deterministic "no". The command is in the log. errors.Is compares Code
// (Text where Code is 0), also across the network.
type Refusal struct {
	Code int32
	Text string
}

// Skipped is the refusal of a command that no machine could execute and that an operator had passed over,
// on every replica (Settings.Skip): errors.Is(err, machine.Skipped). No machine refuses with its code.
var Skipped = &Refusal{Code: 2, Text: "command was passed over: an operator decided so, as no machine could execute it"}

// Error is the text, or the code if there is none.
func (r *Refusal) Error() string {
	if r.Text == "" {
		return fmt.Sprintf("refused with code %d", r.Code)
	}
	return r.Text
}

// Is reports whether target is a refusal with the same Code; if both codes are 0, with the same
// Text.
func (r *Refusal) Is(target error) bool {
	t, ok := target.(*Refusal)
	if !ok || t == nil || r == nil {
		return false
	}
	if r.Code != 0 || t.Code != 0 {
		return r.Code == t.Code
	}
	return r.Text == t.Text
}

// AppendBinary appends the refusal as it travels between hosts: the code in four bytes, little
// endian, then the text. It never fails.
func (r *Refusal) AppendBinary(b []byte) ([]byte, error) {
	return appendRefusal(b, r.Code, r.Text), nil
}

// UnmarshalBinary is the twin of AppendBinary. It copies data.
func (r *Refusal) UnmarshalBinary(data []byte) error {
	if len(data) < 4 || len(data) > 4+MaxRefusalBytes {
		return fmt.Errorf("decode refusal: want 4 to %d bytes, got %d", 4+MaxRefusalBytes, len(data))
	}
	r.Code = int32(binary.LittleEndian.Uint32(data))
	r.Text = string(data[4:])
	return nil
}

func appendRefusal(b []byte, code int32, text string) []byte {
	if len(text) > MaxRefusalBytes {
		text = text[:MaxRefusalBytes]
	}
	b = binary.LittleEndian.AppendUint32(b, uint32(code))
	return append(b, text...)
}

// refusalOf makes any error of an author's function a code and a text. A wrapped Refusal keeps its
// code, and the text tells the whole chain.
func refusalOf(err error) (int32, string) {
	var r *Refusal
	if errors.As(err, &r) && r != nil {
		return r.Code, err.Error()
	}
	return 0, err.Error()
}
