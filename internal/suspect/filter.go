package suspect

import "encoding/binary"

// Classic BPF as packet sockets use it (include/uapi/linux/bpf_common.h and
// filter.h), as far as needed to say whether a filter lets one packet pass.
const (
	clsLd, clsLdx, clsSt, clsStx, clsAlu, clsJmp, clsRet, clsMisc = 0, 1, 2, 3, 4, 5, 6, 7

	adOff  = 0xfffff000 // SKF_AD_OFF: what is not in the frame
	netOff = 0xfff00000 // SKF_NET_OFF: from the network header on
)

// passes says whether the filter may let the frame pass. A filter that asks
// for what is not modelled here may. link is the length of the link header, 0
// for cooked sockets.
func passes(filter, frame []byte, link int, proto uint16) bool {
	if len(filter) == 0 {
		return true
	}
	m := machine{filter: filter, frame: frame, link: link, proto: proto}
	for step := 0; step < len(filter)/8; step++ { // jumps go forward only
		if done, pass := m.step(); done {
			return pass
		}
	}
	return true
}

type machine struct {
	filter, frame []byte
	link          int
	proto         uint16
	pc            int
	a, x          uint32
	mem           [16]uint32
}

// step runs one instruction. What it cannot do ends the run with "may pass".
func (m *machine) step() (done, pass bool) {
	if m.pc*8+8 > len(m.filter) {
		return true, true
	}
	in := m.filter[m.pc*8:]
	code, jt, jf, k := binary.NativeEndian.Uint16(in), in[2], in[3], binary.NativeEndian.Uint32(in[4:])
	m.pc++
	known, outside := true, false
	switch code & 7 {
	case clsLd:
		m.a, known, outside = m.load(code, k)
	case clsLdx:
		m.x, known, outside = m.loadX(code, k)
	case clsSt:
		m.mem[k&15] = m.a
	case clsStx:
		m.mem[k&15] = m.x
	case clsAlu:
		known = m.alu(code, k)
	case clsJmp:
		known = m.jump(code, k, jt, jf)
	case clsRet:
		if code&0x18 == 0x10 {
			return true, m.a != 0
		}
		return true, k != 0
	case clsMisc:
		if code&0x80 != 0 {
			m.a = m.x
		} else {
			m.x = m.a
		}
	}
	if outside {
		return true, false // a load beyond the frame drops it
	}
	return !known, !known
}

func (m *machine) load(code uint16, k uint32) (v uint32, known, outside bool) {
	switch code & 0xe0 {
	case 0x00: // immediate
		return k, true, false
	case 0x60: // scratch
		return m.mem[k&15], true, false
	case 0x80: // length
		return uint32(len(m.frame)), true, false
	case 0x40: // indexed
		return m.at(k+m.x, code)
	case 0x20:
		return m.at(k, code)
	}
	return 0, false, false
}

func (m *machine) loadX(code uint16, k uint32) (v uint32, known, outside bool) {
	if code&0xe0 != 0xa0 {
		return m.load(code, k)
	}
	v, known, outside = m.at(k, 0x10) // four times the low half of a byte: an IP header's length
	return 4 * (v & 15), known, outside
}

// at reads a word, half word or byte of the frame.
func (m *machine) at(k uint32, code uint16) (v uint32, known, outside bool) {
	switch {
	case k >= adOff:
		return m.beside(k - adOff)
	case k >= netOff:
		k = k - netOff + uint32(m.link)
	}
	size := map[uint16]uint32{0x00: 4, 0x08: 2, 0x10: 1}[code&0x18]
	if size == 0 || uint64(k)+uint64(size) > uint64(len(m.frame)) {
		return 0, true, true
	}
	for _, b := range m.frame[k : k+size] {
		v = v<<8 | uint32(b)
	}
	return v, true, false
}

// beside reads what the kernel knows of a packet besides its bytes (SKF_AD_*).
func (m *machine) beside(what uint32) (v uint32, known, outside bool) {
	switch what {
	case 0: // protocol
		return uint32(m.proto), true, false
	case 4, 44, 48: // packet type: to this host; VLAN tag and its presence: none
		return 0, true, false
	}
	return 0, false, false
}

func (m *machine) alu(code uint16, k uint32) bool {
	if code&8 != 0 {
		k = m.x
	}
	switch code & 0xf0 {
	case 0x00:
		m.a += k
	case 0x10:
		m.a -= k
	case 0x20:
		m.a *= k
	case 0x40:
		m.a |= k
	case 0x50:
		m.a &= k
	case 0x60:
		m.a <<= k
	case 0x70:
		m.a >>= k
	case 0x80:
		m.a = -m.a
	case 0xa0:
		m.a ^= k
	default:
		return false
	}
	return true
}

func (m *machine) jump(code uint16, k uint32, jt, jf byte) bool {
	if code&0xf0 == 0 { // always
		m.pc += int(k)
		return true
	}
	if code&8 != 0 {
		k = m.x
	}
	holds := false
	switch code & 0xf0 {
	case 0x10:
		holds = m.a == k
	case 0x20:
		holds = m.a > k
	case 0x30:
		holds = m.a >= k
	case 0x40:
		holds = m.a&k != 0
	default:
		return false
	}
	if holds {
		m.pc += int(jt)
	} else {
		m.pc += int(jf)
	}
	return true
}
