package tc

import (
	"encoding/binary"
	"fmt"
	"math/bits"
	"net/netip"

	"github.com/natwarden/natwarden/internal/host"
)

// sizeofKey is the size of struct tc_u32_key (include/uapi/linux/pkt_cls.h).
const sizeofKey = 16

// headerSize is how much of the packet is looked at as sets: an IPv6 header
// and two ports.
const headerSize = 44

// bytemask is what keys want of the first bytes of the network header.
type bytemask struct {
	want, mask [headerSize]byte
	words      []string // keys that are no part of it
	dead       bool     // two keys contradict each other
}

// key adds a struct tc_u32_key: mask, value, offset, offset mask.
func (k *bytemask) key(b []byte) {
	off, offmask := int32(binary.NativeEndian.Uint32(b[8:])), binary.NativeEndian.Uint32(b[12:])
	if offmask != 0 || off < 0 || off > headerSize-4 {
		at := fmt.Sprint(off)
		if offmask != 0 {
			at = "nexthdr+" + at
		}
		k.words = append(k.words, fmt.Sprintf("bytes %x/%x at %s", b[4:8], b[:4], at))
		return
	}
	for i := range 4 {
		j := int(off) + i
		if both := k.mask[j] & b[i]; k.want[j]&both != b[4+i]&both {
			k.dead = true
		}
		k.mask[j] |= b[i]
		k.want[j] |= b[4+i] & b[i]
	}
}

// take reads the bytes from lo to hi where all of them are masked in full or
// as a prefix, and marks them as read. bits is how many are fixed.
func (k *bytemask) take(lo, hi int) (value []byte, fixed int, ok bool) {
	fixed, ended := 0, false
	for _, m := range k.mask[lo:hi] {
		n := bits.LeadingZeros8(^m)
		if m<<n != 0 || ended && m != 0 {
			return nil, 0, false
		}
		fixed += n
		ended = ended || n < 8
	}
	if fixed == 0 {
		return nil, 0, false
	}
	value = append(value, k.want[lo:hi]...)
	clear(k.mask[lo:hi])
	return value, fixed, true
}

// narrow says in sets what the keys want, and in words what is left.
func (k *bytemask) narrow(m *host.Match) {
	if k.dead {
		m.Dead = "its keys contradict each other"
	}
	switch m.Family {
	case host.IP:
		k.ipv4(m)
	case host.IP6:
		k.ipv6(m)
	}
	for i := 0; i < headerSize; i++ {
		j := i
		for j < headerSize && k.mask[j] != 0 {
			j++
		}
		if j > i {
			m.Require(fmt.Sprintf("bytes %x/%x at %d", k.want[i:j], k.mask[i:j], i))
			i = j
		}
	}
	for _, w := range k.words {
		m.Require(w)
	}
}

func (k *bytemask) ipv4(m *host.Match) {
	plain := k.mask[0]&0x0f == 0x0f && k.want[0]&0x0f == 5 // a header without options
	if k.mask[0] == 0x0f && plain || k.mask[0] == 0xff && k.want[0] == 0x45 {
		k.mask[0] = 0
	}
	k.proto(m, 9)
	m.Source = k.addrs(12, 16)
	m.Address = k.addrs(16, 20)
	if k.ports(m, 20) && !plain {
		m.Require("no IP options")
	}
}

func (k *bytemask) ipv6(m *host.Match) {
	k.proto(m, 6)
	m.Source = k.addrs(8, 24)
	m.Address = k.addrs(24, 40)
	if k.ports(m, 40) {
		m.Require("no IPv6 extension headers")
	}
}

func (k *bytemask) proto(m *host.Match, at int) {
	if k.mask[at] == 0xff {
		m.Protos = host.ProtosOf(host.Proto(k.want[at]))
		k.mask[at] = 0
	}
}

func (k *bytemask) addrs(lo, hi int) host.Addrs {
	value, fixed, ok := k.take(lo, hi)
	a, valid := netip.AddrFromSlice(value)
	if !ok || !valid {
		return nil
	}
	p, err := a.Prefix(fixed)
	if err != nil {
		return nil
	}
	return host.AddrsOf(p)
}

func (k *bytemask) ports(m *host.Match, at int) bool {
	var sport, dport bool
	m.SPorts, sport = k.port(at)
	m.Ports, dport = k.port(at + 2)
	return sport || dport
}

func (k *bytemask) port(at int) (host.Ports, bool) {
	value, fixed, ok := k.take(at, at+2)
	if !ok {
		return nil, false
	}
	lo := binary.BigEndian.Uint16(value)
	return host.PortsOf(lo, lo|uint16(0xffff)>>fixed), true
}
