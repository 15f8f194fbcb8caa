package xtables

import (
	"encoding/binary"
	"fmt"

	"github.com/natwarden/natwarden/internal/host"
)

// NewTable makes a table of bytes: t with everything but Entries, which are
// found and checked here.
func NewTable(t Table) (*Table, error) {
	var err error
	if t.Entries, err = walkEntries(t.Family, t.Blob); err != nil {
		return nil, fmt.Errorf("%s table %q: %w", t.Family, t.Name, err)
	}
	return &t, nil
}

// IsJump says whether a checked entry goes on at an offset of its table:
// a jump, a goto, or a rule without a target.
func IsJump(family host.Family, raw []byte) bool {
	target := layoutOf(family).target(raw)
	return isStandard(target) && standardVerdict(target) >= 0
}

// PutJump writes the offset at which an entry for which IsJump is true goes on.
func PutJump(family host.Family, raw []byte, offset uint32) {
	binary.NativeEndian.PutUint32(layoutOf(family).target(raw)[extHeader:], offset)
}

// PutCounters writes the counters of a checked entry.
func PutCounters(family host.Family, raw []byte, c Counters) {
	l := layoutOf(family)
	binary.NativeEndian.PutUint64(raw[l.counters:], c.Packets)
	binary.NativeEndian.PutUint64(raw[l.counters+8:], c.Bytes)
}

// SetFields finds where in a checked entry the kernel's indices of ipsets
// (two bytes, host order) stand.
func SetFields(family host.Family, raw []byte) []int { return setFields(family, raw) }

// EachMatch calls visit with each match of a checked entry: its name and payload.
func EachMatch(family host.Family, raw []byte, visit func(name string, revision uint8, info []byte)) {
	layoutOf(family).eachMatch(raw, func(m []byte) bool {
		visit(extNameOf(m), m[2+extName], m[extHeader:])
		return true
	})
}
