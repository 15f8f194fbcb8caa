package nft

import (
	"encoding/binary"
	"fmt"
)

// maxChoices bounds the destinations that are listed one by one for a balanced
// redirect.
const maxChoices = 256

// asChoice lists what a number can be, as the kernel leaves it in the register.
func (v *value) asChoice() value {
	c := value{kind: choice, words: v.words, size: 4}
	for i := range v.mod {
		c.alts = append(c.alts, v.numberBytes(v.offset+i))
	}
	return c
}

func (v *value) numberBytes(n uint32) []byte {
	b := make([]byte, 4)
	if v.swap {
		binary.BigEndian.PutUint32(b, n)
	} else {
		binary.NativeEndian.PutUint32(b, n)
	}
	return b
}

// doBitwise is nft_bitwise: (x & MASK) ^ XOR, or a shift.
func (m *machine) doBitwise(f *fields) {
	n := int(f.u32(3))
	op := f.u32(6)
	for i := range m.states {
		s := &m.states[i]
		v := m.get(s, f.u32(1), n)
		m.put(s, f.u32(2), m.bitwise(s, &v, f, op, n))
	}
}

func (m *machine) bitwise(s *state, v *value, f *fields, op uint32, n int) value {
	mask, xor := f.data(4), f.data(5)
	if op != 0 || f.has(8) || len(mask) < n || len(xor) < n {
		return foreignOf(m.bitwiseWords(s, v, f, op), n)
	}
	mask, xor = mask[:n], xor[:n]
	switch v.kind {
	case constant:
		return constantOf(masked(v.data, mask, xor))
	case choice:
		c := *v
		c.alts = make([][]byte, len(v.alts))
		for i, alt := range v.alts {
			c.alts[i] = masked(alt, mask, xor)
		}
		return c
	case loaded:
		w := *v
		w.mask, w.xor = composeMask(v, mask, xor)
		return w
	}
	return foreignOf(fmt.Sprintf("(%s & %#x) ^ %#x", m.describe(s, v), mask, xor), n)
}

// composeMask puts a mask on top of one that the value has: ((x & a) ^ b) & c ^ d
// is x & (a & c) ^ (b & c ^ d).
func composeMask(v *value, mask, xor []byte) (newMask, newXor []byte) {
	newMask, newXor = make([]byte, len(mask)), make([]byte, len(mask))
	for i := range mask {
		a, b := byte(0xff), byte(0)
		if i < len(v.mask) {
			a = v.mask[i]
		}
		if i < len(v.xor) {
			b = v.xor[i]
		}
		newMask[i], newXor[i] = a&mask[i], b&mask[i]^xor[i]
	}
	return newMask, newXor
}

func masked(data, mask, xor []byte) []byte {
	out := make([]byte, len(data))
	for i := range out {
		out[i] = data[i]
		if i < len(mask) {
			out[i] = data[i]&mask[i] ^ xor[i]
		}
	}
	return out
}

func (m *machine) bitwiseWords(s *state, v *value, f *fields, op uint32) string {
	symbol := map[uint32]string{1: "<<", 2: ">>", 3: "&", 4: "|", 5: "^"}[op]
	if symbol == "" {
		symbol = "combined with"
	}
	if f.has(8) { // NFTA_BITWISE_SREG2, Linux 6.13
		other := m.get(s, f.u32(8), int(f.u32(3)))
		return m.describe(s, v) + " " + symbol + " " + m.describe(s, &other)
	}
	data := f.data(7)
	if len(data) == 4 {
		return fmt.Sprintf("%s %s %d", m.describe(s, v), symbol, binary.NativeEndian.Uint32(data))
	}
	return fmt.Sprintf("%s %s %#x", m.describe(s, v), symbol, data)
}

// doByteorder is nft_byteorder: host to network order or back, in units of SIZE bytes.
func (m *machine) doByteorder(f *fields) {
	n, unit := int(f.u32(4)), int(f.u32(5))
	for i := range m.states {
		s := &m.states[i]
		v := m.get(s, f.u32(1), n)
		switch v.kind {
		case constant:
			v.data = reversed(v.data, unit)
		case choice:
			alts := make([][]byte, len(v.alts))
			for i, alt := range v.alts {
				alts[i] = reversed(alt, unit)
			}
			v.alts = alts
		default:
			v.swap = !v.swap
			v.mask, v.xor = reversed(v.mask, unit), reversed(v.xor, unit)
		}
		m.put(s, f.u32(2), v)
	}
}

// reversed turns every unit of bytes round, which is what a change of byte order
// does on a little-endian machine; a big-endian one has nothing to do.
func reversed(b []byte, unit int) []byte {
	if b == nil || unit < 2 || binary.NativeEndian.Uint16([]byte{0, 1}) == 1 {
		return b
	}
	out := make([]byte, len(b))
	copy(out, b)
	for at := 0; at+unit <= len(b); at += unit {
		for i := range unit {
			out[at+i] = b[at+unit-1-i]
		}
	}
	return out
}

// doImmediate is nft_immediate: bytes into a register, or a verdict.
func (m *machine) doImmediate(f *fields) {
	if f.u32(1) != verdictRegister {
		m.putAll(f.u32(1), constantOf(f.data(2)))
		return
	}
	kind, payload, _, _ := cutAttr(f[2])
	var e element
	var ok bool
	e.verdict, e.chain, e.queue, ok = readVerdict(payload)
	if !ok || kind != dataIsVerdict {
		m.doubt("a verdict that is unknown")
		return
	}
	m.each(func(s *state) { m.takeVerdict(s, &e) })
}

// doNumgen is nft_numgen.
func (m *machine) doNumgen(f *fields) {
	kind := "inc"
	if f.u32(3) == 1 {
		kind = "random"
	}
	m.number(f.u32(1), "numgen "+kind, f.u32(2), f.u32(4))
}

func (m *machine) number(register uint32, words string, mod, offset uint32) {
	words += fmt.Sprintf(" mod %d", mod)
	if offset != 0 {
		words += fmt.Sprintf(" offset %d", offset)
	}
	m.putAll(register, value{kind: number, words: words, format: asHostNumber, size: 4, mod: mod, offset: offset})
}

// doHash is nft_hash: jhash over registers, or the symmetric hash of the flow.
func (m *machine) doHash(f *fields) {
	words := "symhash"
	if f.u32(7) == 0 && len(m.states) > 0 {
		words = "jhash " + m.keyWords(&m.states[0], f.u32(1), int(f.u32(3)))
	}
	m.number(f.u32(2), words, f.u32(4), f.u32(6))
}
