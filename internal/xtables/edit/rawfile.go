package edit

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/natwarden/natwarden/internal/host"
	"github.com/natwarden/natwarden/internal/xtables"
)

// rawMagic begins the file x_tables.raw. Its last byte is the order of bytes
// in the entries: 'l' or 'b'.
const rawMagic = "natwarden x_tables 1 "

// Limits of the file.
const (
	maxRawTables = 64
	maxRawName   = 255
)

// WriteFile frames the tables of a dump: rawMagic and the byte order; then a
// count of tables, and of each the family (4 or 6), name, valid hooks, hook
// entries, underflows and entries; then a count of ipset names, and of each the
// index and the name. Numbers are 32 bits, little end first; names and entries
// have their length before them.
func WriteFile(d *xtables.Dump) []byte {
	b := append([]byte(rawMagic), byteOrder(), '\n')
	b = put32(b, uint32(len(d.Tables)))
	for _, t := range d.Tables {
		version := uint32(4)
		if t.Family == host.IP6 {
			version = 6
		}
		b = put32(b, version)
		b = putBytes(b, []byte(t.Name))
		b = put32(b, t.ValidHooks)
		for i := range 5 {
			b = put32(put32(b, t.HookEntry[i]), t.Underflow[i])
		}
		b = putBytes(b, t.Blob)
	}
	b = put32(b, uint32(len(d.SetNames)))
	for _, index := range slices.Sorted(maps.Keys(d.SetNames)) {
		b = put32(b, uint32(index))
		b = putBytes(b, []byte(d.SetNames[index]))
	}
	return b
}

func byteOrder() byte {
	if binary.NativeEndian.Uint16([]byte{1, 0}) == 1 {
		return 'l'
	}
	return 'b'
}

func put32(b []byte, n uint32) []byte { return binary.LittleEndian.AppendUint32(b, n) }

func putBytes(b, data []byte) []byte { return append(put32(b, uint32(len(data))), data...) }

// ReadFile reads what WriteFile wrote. It is strict: anything else, or more,
// is an error.
func ReadFile(data []byte) (*xtables.Dump, error) {
	want := append([]byte(rawMagic), byteOrder(), '\n')
	rest, ok := bytes.CutPrefix(data, want)
	if !ok {
		return nil, errors.New("reading x_tables.raw: it was not written by this version of natwarden on this kind of machine")
	}
	r := &rawReader{rest: rest}
	d := &xtables.Dump{SetNames: map[uint16]string{}, Loaded: true}
	for range r.count(maxRawTables) {
		if t := r.table(); r.err == nil {
			d.Tables = append(d.Tables, t)
		}
	}
	last := -1
	for range r.count(1 << 16) {
		index, name := int(r.number()), string(r.bytes(maxRawName))
		if r.err == nil && (index <= last || index > 0xffff) {
			r.err = fmt.Errorf("ipset %d is out of order", index)
		}
		last = index
		d.SetNames[uint16(index)] = name
	}
	if r.err == nil && len(r.rest) > 0 {
		r.err = fmt.Errorf("%d bytes too many", len(r.rest))
	}
	if r.err != nil {
		return nil, fmt.Errorf("reading x_tables.raw at byte %d: %w", len(data)-len(r.rest), r.err)
	}
	return d, nil
}

// rawReader takes pieces off a file; after the first error it gives zeros.
type rawReader struct {
	rest []byte
	err  error
}

func (r *rawReader) number() uint32 {
	if r.err == nil && len(r.rest) < 4 {
		r.err = errors.New("the file is cut off")
	}
	if r.err != nil {
		return 0
	}
	n := binary.LittleEndian.Uint32(r.rest)
	r.rest = r.rest[4:]
	return n
}

func (r *rawReader) count(most uint32) uint32 {
	n := r.number()
	if n > most {
		r.err = fmt.Errorf("a count of %d is more than %d", n, most)
		return 0
	}
	return n
}

func (r *rawReader) bytes(most uint32) []byte {
	n := r.count(most)
	if r.err == nil && int(n) > len(r.rest) {
		r.err = errors.New("the file is cut off")
	}
	if r.err != nil {
		return nil
	}
	b := r.rest[:n:n]
	r.rest = r.rest[n:]
	return b
}

func (r *rawReader) table() *xtables.Table {
	t := xtables.Table{Family: host.IP}
	switch r.number() {
	case 4:
	case 6:
		t.Family = host.IP6
	default:
		r.err = errors.Join(r.err, errors.New("a table of neither IPv4 nor IPv6"))
	}
	t.Name = string(r.bytes(nameSize - 1))
	t.ValidHooks = r.number()
	for i := range 5 {
		t.HookEntry[i], t.Underflow[i] = r.number(), r.number()
	}
	t.Blob = r.bytes(1 << 30)
	if r.err != nil {
		return nil
	}
	out, err := xtables.NewTable(t)
	r.err = err
	return out
}

func fingerprintOf(b []byte) string {
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:12])
}
