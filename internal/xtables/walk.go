package xtables

import (
	"bytes"
	"encoding/binary"
	"fmt"

	"github.com/natwarden/natwarden/internal/host"
	"github.com/natwarden/natwarden/internal/xt"
)

// walkEntries finds the entries in a blob. It checks every size and offset
// that later readers rely on, so that they need not: a torn blob is an error.
func walkEntries(family host.Family, blob []byte) ([]Entry, error) {
	l := layoutOf(family)
	entries := make([]Entry, 0, len(blob)/(l.size+extHeader)+1)
	for at := 0; at < len(blob); {
		e, err := l.entryAt(blob[at:])
		if err != nil {
			return nil, fmt.Errorf("entry at byte %d of %d: %w", at, len(blob), err)
		}
		e.Offset = uint32(at)
		entries = append(entries, e)
		at += int(e.Size)
	}
	return entries, nil
}

// CheckEntry says whether raw is exactly one well-formed entry of a family.
func CheckEntry(family host.Family, raw []byte) (Entry, error) {
	e, err := layoutOf(family).entryAt(raw)
	if err == nil && int(e.Size) != len(raw) {
		err = fmt.Errorf("entry of %d bytes says that it has %d", len(raw), e.Size)
	}
	return e, err
}

func (l *layout) entryAt(rest []byte) (Entry, error) {
	if len(rest) < l.size+extHeader {
		return Entry{}, fmt.Errorf("%d bytes are too few for an entry", len(rest))
	}
	target, size := int(u16(rest, l.targetOffset)), int(u16(rest, l.nextOffset))
	if target < l.size || size < target+extHeader || size > len(rest) || size%align != 0 {
		return Entry{}, fmt.Errorf("target offset %d and size %d do not fit into %d bytes", target, size, len(rest))
	}
	if n := int(u16(rest, target)); n < extHeader || target+n > size {
		return Entry{}, fmt.Errorf("target of %d bytes does not fit into an entry of %d", n, size)
	}
	for at := l.size; at < target; {
		if target-at < extHeader {
			return Entry{}, fmt.Errorf("match at byte %d is cut off", at)
		}
		n := int(u16(rest, at))
		if n < extHeader || at+n > target {
			return Entry{}, fmt.Errorf("match of %d bytes at byte %d does not fit", n, at)
		}
		at += n
	}
	return Entry{Size: uint16(size), Target: uint16(target)}, nil
}

// eachMatch calls visit with each match of a checked entry until it says false.
func (l *layout) eachMatch(raw []byte, visit func(header []byte) bool) {
	target := int(u16(raw, l.targetOffset))
	for at := l.size; at < target; {
		n := int(u16(raw, at))
		if !visit(raw[at : at+n : at+n]) {
			return
		}
		at += n
	}
}

// target gives the target of a checked entry, header included.
func (l *layout) target(raw []byte) []byte {
	at := int(u16(raw, l.targetOffset))
	n := int(u16(raw, at))
	return raw[at : at+n : at+n]
}

// extIs compares the name of a match or target without making a string.
func extIs(header []byte, name string) bool {
	field := header[2 : 2+extName]
	return len(name) < extName && string(field[:len(name)]) == name && field[len(name)] == 0
}

// ext gives a match or target as package xt takes it.
func ext(family host.Family, header []byte) xt.Ext {
	return xt.Ext{Family: family, Name: extNameOf(header), Revision: header[2+extName], Info: header[extHeader:]}
}

// extNameOf spares the string of the names that most rules use.
func extNameOf(header []byte) string {
	field := header[2 : 2+extName]
	if i := bytes.IndexByte(field, 0); i >= 0 {
		field = field[:i]
	}
	switch string(field) {
	case "tcp":
		return "tcp"
	case "udp":
		return "udp"
	case "comment":
		return "comment"
	case "conntrack":
		return "conntrack"
	case "DNAT":
		return "DNAT"
	}
	return string(field)
}

// isStandard says whether a target is a verdict or a jump.
func isStandard(target []byte) bool { return target[2] == 0 && len(target) >= extHeader+4 }

// standardVerdict is the verdict of a standard target: below zero a verdict,
// else the offset of a jump.
func standardVerdict(target []byte) int32 {
	return int32(binary.NativeEndian.Uint32(target[extHeader:]))
}
