package nft

import (
	"slices"

	"github.com/natwarden/natwarden/internal/host"
)

// valueKind says how much is known of what a register holds.
type valueKind uint8

const (
	unset    valueKind = iota
	loaded             // a field of the packet or of what the kernel knows about it
	constant           // known bytes
	choice             // one of several known byte strings: the result of a balanced map
	number             // offset to offset+mod-1: numgen and the hashes
	foreign            // only known in words
)

// place is where a loaded field comes from. The first four are enum nft_payload_bases.
type place uint8

const (
	linkHeader place = iota
	networkHeader
	transportHeader
	innerHeader
	fromMeta
	fromCT
)

// value is what a register holds, in symbols.
type value struct {
	kind   valueKind
	place  place
	key    uint16 // offset in the header in bytes, or enum nft_meta_keys, nft_ct_keys
	dir    uint8  // of a ct key: dirOriginal, dirReply, dirNone
	size   int    // bytes
	swap   bool   // a host-order number turned to network order
	mask   []byte // nil: every bit counts
	xor    []byte
	data   []byte     // constant
	alts   [][]byte   // choice
	words  string     // foreign, number, and the origin of a choice
	format format     // foreign: how its values are written
	field  host.Field // foreign: what it is, where a walk can compute it
	mod    uint32
	offset uint32
}

const (
	dirOriginal = iota
	dirReply
	dirNone
)

func constantOf(b []byte) value { return value{kind: constant, data: b, size: len(b)} }

func foreignOf(words string, size int) value {
	return value{kind: foreign, words: words, size: size}
}

func (v *value) plain() bool { return v.mask == nil && v.xor == nil }

// part is the n bytes from the byte at of a value.
func (v *value) part(at, n int) value {
	if at == 0 && n == v.size {
		return *v
	}
	p := *v
	p.size = n
	switch {
	case v.kind == constant && at+n <= len(v.data):
		p.data = v.data[at : at+n]
	case v.kind == choice && v.altsReach(at+n):
		p.alts = make([][]byte, len(v.alts))
		for i, alt := range v.alts {
			p.alts[i] = alt[at : at+n]
		}
	case v.kind == number && at+n <= 4 && v.mod <= maxChoices:
		whole := v.asChoice()
		return whole.part(at, n)
	case v.kind == loaded && v.place <= innerHeader && at+n <= v.size:
		p.key += uint16(at)
		p.mask, p.xor = cutBytes(v.mask, at, n), cutBytes(v.xor, at, n)
	case v.kind == loaded && at == 0 && n < v.size && v.plain():
		p.size = v.size // a name compared by its first bytes
	default:
		return foreignOf("part of "+v.words, n)
	}
	return p
}

func (v *value) altsReach(end int) bool {
	return !slices.ContainsFunc(v.alts, func(b []byte) bool { return len(b) < end })
}

func cutBytes(b []byte, at, n int) []byte {
	if b == nil || at+n > len(b) {
		return nil
	}
	return b[at : at+n]
}

// cell is four bytes of a register: which value, and which of its bytes.
type cell struct {
	value int32 // index into machine.values; 0: never written
	at    uint8 // in units of four bytes
}

// slotOf gives the place of a register in the file of sixteen 4-byte cells:
// NFT_REG_1 to 4 are sixteen bytes wide, NFT_REG32_00 to 15 four (enum nft_registers).
func slotOf(register uint32) (int, bool) {
	switch {
	case register >= 1 && register <= 4:
		return int(register-1) * 4, true
	case register >= 8 && register <= 23:
		return int(register - 8), true
	}
	return 0, false
}

// verdictRegister is NFT_REG_VERDICT.
const verdictRegister = 0

func (m *machine) keep(v value) int32 {
	m.values = append(m.values, v)
	return int32(len(m.values) - 1)
}

// put writes a value to a register of one state.
func (m *machine) put(s *state, register uint32, v value) {
	m.putKept(s, register, m.keep(v), v.size)
}

func (m *machine) putKept(s *state, register uint32, kept int32, size int) {
	slot, ok := slotOf(register)
	if !ok {
		m.doubt("a register that is unknown")
		return
	}
	for i := 0; i < max(1, (size+3)/4) && slot+i < len(s.regs); i++ {
		s.regs[slot+i] = cell{kept, uint8(i)}
	}
}

// putAll writes the same value to a register of every state.
func (m *machine) putAll(register uint32, v value) {
	kept := m.keep(v)
	for i := range m.states {
		m.putKept(&m.states[i], register, kept, v.size)
	}
}

// get reads n bytes from a register; 0 is the whole value that starts there.
func (m *machine) get(s *state, register uint32, n int) value {
	slot, ok := slotOf(register)
	if !ok {
		m.doubt("a register that is unknown")
		return foreignOf("an unknown register", n)
	}
	return m.getSlot(s, slot, n)
}

func (m *machine) getSlot(s *state, slot, n int) value {
	if slot >= len(s.regs) || s.regs[slot].value == 0 {
		return foreignOf("a register that nothing was loaded into", n)
	}
	c := s.regs[slot]
	v := &m.values[c.value]
	at := int(c.at) * 4
	if n == 0 {
		n = v.size - at
	}
	if v.size-at < n && v.kind == constant {
		return m.joined(s, slot, n)
	}
	return v.part(at, min(n, v.size-at))
}

// joined reads constants that were written one after the other.
func (m *machine) joined(s *state, slot, n int) value {
	var b []byte
	for ; len(b) < n && slot < len(s.regs); slot++ {
		c := s.regs[slot]
		v := &m.values[c.value]
		at := int(c.at) * 4
		if v.kind != constant || at > len(v.data) {
			return foreignOf("several values at once", n)
		}
		word := make([]byte, 4)
		copy(word, v.data[at:])
		b = append(b, word...)
	}
	if len(b) < n {
		return foreignOf("a value beyond the registers", n)
	}
	return constantOf(b[:n])
}
