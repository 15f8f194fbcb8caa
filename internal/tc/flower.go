package tc

import (
	"fmt"
	"math/bits"
	"net/netip"
	"slices"

	"github.com/natwarden/natwarden/internal/host"
)

// TCA_FLOWER_* of include/uapi/linux/pkt_cls.h.
const (
	flowerIndev    = 2
	flowerEthType  = 8
	flowerIPProto  = 9
	flowerSource4  = 10 // each address is followed by its mask
	flowerAddress4 = 12
	flowerSource6  = 14
	flowerAddress6 = 16
	flowerSrcMin   = 87
	flowerSrcMax   = 88
	flowerDstMin   = 89
	flowerDstMax   = 90
)

// flowerPorts are the attributes of exact ports: source, its mask,
// destination, its mask, of TCP, UDP and SCTP.
func flowerPorts() [][4]uint16 {
	return [][4]uint16{{18, 35, 19, 36}, {20, 37, 21, 38}, {41, 39, 42, 40}}
}

// flowerVLAN are the keys of one VLAN, and of one in another.
func flowerVLAN() []uint16 { return []uint16{23, 24, 25, 77, 78, 79} }

// flowerSilent are attributes that take nothing away: class, actions, flags,
// hardware counts, and what the others' masks and the header say already.
func flowerSilent() []uint16 { return []uint16{1, 3, 22, 86} }

// flower reads the keys of a flower filter.
func (f filter) flower(m *host.Match) {
	read := flowerSilent()
	if dev := f.options.text(flowerIndev); dev != "" {
		m.In = host.Ifaces{Names: []string{dev}}
		read = append(read, flowerIndev)
	}
	if eth, ok := f.options.be16(flowerEthType); ok && eth == f.proto {
		read = append(read, flowerEthType)
	}
	if b := f.options[flowerIPProto]; len(b) == 1 {
		m.Protos = host.ProtosOf(host.Proto(b[0]))
		read = append(read, flowerIPProto)
	}
	for _, t := range []uint16{flowerSource4, flowerSource6} {
		read = append(read, f.flowerAddrs(t, &m.Source)...)
		read = append(read, f.flowerAddrs(t+2, &m.Address)...)
	}
	for _, t := range flowerPorts() {
		read = append(read, f.flowerPort(t[0], t[1], &m.SPorts)...)
		read = append(read, f.flowerPort(t[2], t[3], &m.Ports)...)
	}
	read = append(read, f.flowerRange(flowerSrcMin, flowerSrcMax, &m.SPorts)...)
	read = append(read, f.flowerRange(flowerDstMin, flowerDstMax, &m.Ports)...)
	var left []uint16
	for t := range f.options {
		if !slices.Contains(read, t) {
			left = append(left, t)
		}
	}
	slices.Sort(left)
	for _, t := range left {
		m.Require(fmt.Sprintf("flower key %d = %x", t, f.options[t]))
	}
}

// flowerAddrs reads an address and its mask, which follows it.
func (f filter) flowerAddrs(t uint16, into *host.Addrs) []uint16 {
	value, mask := f.options[t], f.options[t+1]
	a, ok := netip.AddrFromSlice(value)
	if !ok || len(mask) != 0 && len(mask) != len(value) {
		return nil
	}
	length, ended := 0, false
	for _, b := range mask {
		n := bits.LeadingZeros8(^b)
		if b<<n != 0 || ended && b != 0 {
			return nil // no prefix: it stays in words
		}
		length, ended = length+n, ended || n < 8
	}
	if len(mask) == 0 {
		length = a.BitLen()
	}
	p, err := a.Prefix(length)
	if err != nil {
		return nil
	}
	*into = into.Intersect(host.AddrsOf(p))
	return []uint16{t, t + 1}
}

func (f filter) flowerPort(t, mask uint16, into *host.Ports) []uint16 {
	port, ok := f.options.be16(t)
	if !ok {
		return nil
	}
	if m, masked := f.options.be16(mask); masked && m != 0xffff {
		n := bits.LeadingZeros16(^m)
		if m<<n != 0 {
			return nil
		}
		*into = into.Intersect(host.PortsOf(port&m, port|^m))
		return []uint16{t, mask}
	}
	*into = into.Intersect(host.PortsOf(port, port))
	return []uint16{t, mask}
}

func (f filter) flowerRange(lo, hi uint16, into *host.Ports) []uint16 {
	from, ok := f.options.be16(lo)
	to, ok2 := f.options.be16(hi)
	if !ok || !ok2 {
		return nil
	}
	*into = into.Intersect(host.PortsOf(from, to))
	return []uint16{lo, hi}
}
