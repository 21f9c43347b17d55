package wire

import (
	"encoding/binary"
	"fmt"

	"github.com/lockstep-rsm/lockstep/raft"
)

// RecordKind says what a record of a batch is. Unknown kinds are refused, unless they carry
// RecordMayIgnore.
type RecordKind uint8

// The kinds of records.
const (
	RecordEntry           RecordKind = 1 // an entry: replaces its group's log from its index on
	RecordCarried         RecordKind = 2 // an entry written anew because its segment is to be freed: replaces nothing
	RecordIdentity        RecordKind = 3 // an entry without its payload
	RecordCarriedIdentity RecordKind = 4 // a carried entry without its payload
	RecordHardState       RecordKind = 5
	RecordBase            RecordKind = 6 // the log begins after this snapshot
	RecordDestroy         RecordKind = 7 // the group is no more
	RecordRepeat          RecordKind = 8 // the next Count records are those of the batch at Position
	RecordGroup           RecordKind = 9 // in heads: all that is known of a group but its entries

	// RecordFloor is a commit index: the group's entries through it are committed. Never repeated.
	RecordFloor = RecordMayIgnore | 10

	// RecordMayIgnore marks records that a build which does not know them passes over.
	RecordMayIgnore RecordKind = 0x80
)

// RecordHeaderSize is the length of a record's kind and length, in bytes.
const RecordHeaderSize = 5

// Record is one decoded record. Only the fields of its kind are set; slices alias the input.
type Record struct {
	Kind     RecordKind
	Group    raft.GroupID
	Birth    raft.Birth
	Identity raft.Identity // of the entry, or of the base
	Data     []byte        // the entry's payload; nil for identities
	Hard     raft.HardState

	Replaces           bool // of a base: no entry of the former log remains
	Configuration      []byte
	ConfigurationIndex raft.Index

	Index    raft.Index // of a floor
	Position uint64     // of a repeat
	Count    uint32
	Body     []byte // of a group, for DecodeGroupHead; of what may be ignored
	Size     int    // of the whole record, in bytes
}

// Held says whether the record is an entry, and whole, and whether it was carried forward.
func (r *Record) Held() (entry, whole, carried bool) {
	switch r.Kind {
	case RecordEntry:
		return true, true, false
	case RecordCarried:
		return true, true, true
	case RecordIdentity:
		return true, false, false
	case RecordCarriedIdentity:
		return true, false, true
	}
	return false, false, false
}

func appendRecordHeader(dst []byte, kind RecordKind, length int) []byte {
	dst = append(dst, byte(kind))
	return binary.LittleEndian.AppendUint32(dst, uint32(length))
}

// EntryRecordSize is the length of the record of an entry with n bytes of payload.
func EntryRecordSize(n int) int { return RecordHeaderSize + IdentitySize + n }

// AppendEntryHeader appends a RecordEntry or RecordCarried up to where the payload follows.
func AppendEntryHeader(dst []byte, kind RecordKind, id *raft.Identity) []byte {
	dst = appendRecordHeader(dst, kind, IdentitySize+int(id.Length))
	return AppendIdentity(dst, id)
}

// AppendIdentityRecord appends a RecordIdentity or RecordCarriedIdentity.
func AppendIdentityRecord(dst []byte, kind RecordKind, id *raft.Identity) []byte {
	return AppendIdentity(appendRecordHeader(dst, kind, IdentitySize), id)
}

// AppendHardStateRecord appends a RecordHardState.
func AppendHardStateRecord(dst []byte, group raft.GroupID, birth raft.Birth, h raft.HardState) []byte {
	dst = appendRecordHeader(dst, RecordHardState, 16+HardStateSize)
	return AppendHardState(appendGroup(dst, group, birth), h)
}

// AppendBaseRecord appends a RecordBase; configuration is the encoded one as of id, index its entry's.
func AppendBaseRecord(dst []byte, group raft.GroupID, birth raft.Birth, replaces bool, id *raft.Identity, index raft.Index, configuration []byte) []byte {
	dst = appendRecordHeader(dst, RecordBase, 16+1+IdentitySize+8+len(configuration))
	dst = appendBool(appendGroup(dst, group, birth), replaces)
	dst = AppendIdentity(dst, id)
	dst = binary.LittleEndian.AppendUint64(dst, uint64(index))
	return append(dst, configuration...)
}

// AppendDestroyRecord appends a RecordDestroy.
func AppendDestroyRecord(dst []byte, group raft.GroupID, birth raft.Birth) []byte {
	return appendGroup(appendRecordHeader(dst, RecordDestroy, 16), group, birth)
}

// FloorRecordSize is the length of a RecordFloor, in bytes.
const FloorRecordSize = RecordHeaderSize + 16 + 8

// AppendFloorRecord appends a RecordFloor.
func AppendFloorRecord(dst []byte, group raft.GroupID, birth raft.Birth, commit raft.Index) []byte {
	dst = appendGroup(appendRecordHeader(dst, RecordFloor, 16+8), group, birth)
	return binary.LittleEndian.AppendUint64(dst, uint64(commit))
}

// AppendRepeatRecord appends a RecordRepeat for the batch at position, which had count records.
func AppendRepeatRecord(dst []byte, position uint64, count uint32) []byte {
	dst = appendRecordHeader(dst, RecordRepeat, 12)
	dst = binary.LittleEndian.AppendUint64(dst, position)
	return binary.LittleEndian.AppendUint32(dst, count)
}

func appendGroup(dst []byte, group raft.GroupID, birth raft.Birth) []byte {
	dst = binary.LittleEndian.AppendUint64(dst, uint64(group))
	return binary.LittleEndian.AppendUint64(dst, uint64(birth))
}

func appendBool(dst []byte, b bool) []byte {
	if b {
		return append(dst, 1)
	}
	return append(dst, 0)
}

// DecodeRecord reads one record and returns the bytes behind it. It allocates nothing but errors.
func DecodeRecord(p []byte) (r Record, rest []byte, err error) {
	if len(p) < RecordHeaderSize {
		return r, nil, short("record", 0, RecordHeaderSize, len(p))
	}
	kind, n := RecordKind(p[0]), int64(binary.LittleEndian.Uint32(p[1:]))
	if n > int64(len(p)-RecordHeaderSize) {
		return r, nil, short("record", RecordHeaderSize, int(min(n, 1<<31)), len(p)-RecordHeaderSize)
	}
	body := p[RecordHeaderSize : RecordHeaderSize+n : RecordHeaderSize+n]
	r.Kind, r.Body, r.Size = kind, body, RecordHeaderSize+int(n)
	if err := r.decode(body); err != nil {
		return Record{}, nil, err
	}
	return r, p[r.Size:], nil
}

func (r *Record) decode(p []byte) (err error) {
	rest := p
	switch r.Kind {
	case RecordEntry, RecordCarried, RecordIdentity, RecordCarriedIdentity:
		if r.Identity, rest, err = DecodeIdentity(p); err != nil {
			return err
		}
		r.Group, r.Birth = r.Identity.Group, r.Identity.Birth
		if r.Kind == RecordEntry || r.Kind == RecordCarried {
			if len(rest) != int(r.Identity.Length) {
				return short("entry's payload", IdentitySize, int(r.Identity.Length), len(rest))
			}
			r.Data, rest = rest, nil
		}
		if r.Identity.Kind == 0 {
			return &CorruptError{What: "entry", Expected: "an identity", Found: "none"}
		}
	case RecordHardState:
		if rest, err = r.decodeGroup(p); err == nil {
			r.Hard, rest, err = DecodeHardState(rest)
		}
	case RecordBase:
		return r.decodeBase(p)
	case RecordDestroy:
		rest, err = r.decodeGroup(p)
	case RecordFloor:
		if rest, err = r.decodeGroup(p); err == nil && len(rest) < 8 {
			return short("floor", len(p)-len(rest), 8, len(rest))
		}
		if err == nil {
			r.Index, rest = raft.Index(binary.LittleEndian.Uint64(rest)), rest[8:]
		}
	case RecordRepeat:
		if len(p) < 12 {
			return short("repeat", 0, 12, len(p))
		}
		r.Position, r.Count = binary.LittleEndian.Uint64(p), binary.LittleEndian.Uint32(p[8:])
		rest = p[12:]
	case RecordGroup:
		if _, err = r.decodeGroup(p); err == nil {
			rest = nil // DecodeGroupHead reads the body
		}
	default:
		if r.Kind&RecordMayIgnore == 0 {
			return fmt.Errorf("decode record of kind %d: %w", r.Kind, ErrUnsupported)
		}
		rest = nil
	}
	if err == nil && len(rest) != 0 {
		err = &CorruptError{What: "record", Offset: len(p) - len(rest), Expected: "its end", Found: fmt.Sprintf("%d bytes more", len(rest))}
	}
	return err
}

func (r *Record) decodeGroup(p []byte) (rest []byte, err error) {
	if len(p) < 16 {
		return nil, short("group and birth", 0, 16, len(p))
	}
	r.Group = raft.GroupID(binary.LittleEndian.Uint64(p))
	r.Birth = raft.Birth(binary.LittleEndian.Uint64(p[8:]))
	return p[16:], nil
}

func (r *Record) decodeBase(p []byte) (err error) {
	rest, err := r.decodeGroup(p)
	if err != nil {
		return err
	}
	if len(rest) < 1 || rest[0] > 1 {
		return &CorruptError{What: "base's flag", Offset: 16, Expected: "0 or 1", Found: "another or none"}
	}
	r.Replaces = rest[0] == 1
	if r.Identity, rest, err = DecodeIdentity(rest[1:]); err != nil {
		return err
	}
	if r.Identity.Group != r.Group || r.Identity.Birth != r.Birth {
		return &CorruptError{What: "base", Offset: 17, Expected: "an identity of its group", Found: fmt.Sprintf("group %d", r.Identity.Group)}
	}
	if len(rest) < 8 {
		return short("base's configuration", len(p)-len(rest), 8, len(rest))
	}
	r.ConfigurationIndex, r.Configuration = raft.Index(binary.LittleEndian.Uint64(rest)), rest[8:]
	return nil
}
