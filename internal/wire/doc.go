// Package wire is the one room that knows bytes (A7): it turns entries, messages, configurations,
// handshakes, founding records, host identities and snapshot headers into bytes and back.
//
// An identity names an entry, a payload holds its commands in sections, a message goes between two
// replicas, a packet between two hosts, and a frame carries packets over a link. The layouts are
// written down byte by byte in docs/formats, one page per format, and every released version of
// each has a golden file in testdata.
//
// Encoders append to a slice the caller owns and panic on values that no decoder would take back.
// Decoders never panic, allocate nothing that the bytes before them do not justify (A9), and refuse
// what they do not know: kinds, types, flags and versions, unless a bit says that it may be
// ignored. Their errors satisfy errors.Is(err, ErrCorrupt) and name what, offset, expected, found.
// Byte slices in decoded values alias the input. All functions are safe for concurrent use.
package wire
