package nft

import (
	"encoding/binary"
	"math/bits"
	"net/netip"

	"github.com/natwarden/natwarden/internal/host"
)

// answer is the points of one dimension that pass a test, or one of several.
// Ports, protocols and families are all kept as numbers.
type answer struct {
	dim   dim
	small []host.Range[host.Port]
	addrs []host.Range[netip.Addr]
	names []string
	not   bool // all names but these
}

// scratchAnswer gives an answer without points, which the next call takes away.
func (m *machine) scratchAnswer(d dim) *answer {
	a := &m.scratch
	*a = answer{dim: d, small: a.small[:0], addrs: a.addrs[:0]}
	return a
}

// add joins the points that pass; false where they cannot be listed.
func (a *answer) add(m *machine, p piece, v *value, t test) bool {
	switch a.dim {
	case dimIn, dimOut:
		return a.addName(v, t)
	case dimInIndex, dimOutIndex:
		return a.addIndex(m, v, t)
	case dimSource, dimAddress:
		return a.addAddrs(p, v, t)
	}
	return a.addSmall(p, v, t)
}

// masks gives mask and wanted value of a piece, as wide as its dimension. ok is
// false where no value can ever pass.
func (p piece) masks(v *value, data []byte) (mask, want [16]byte, ok bool) {
	ok = true
	for i := range p.n {
		k, x := byte(0xff), byte(0)
		if v.mask != nil && p.from+i < len(v.mask) {
			k = v.mask[p.from+i]
		}
		if v.xor != nil && p.from+i < len(v.xor) {
			x = v.xor[p.from+i]
		}
		var d byte
		if p.from+i < len(data) {
			d = data[p.from+i]
		}
		mask[p.at+i], want[p.at+i] = k, d^x
		ok = ok && (d^x)&^k == 0
	}
	return mask, want, ok
}

func (a *answer) addSmall(p piece, v *value, t test) bool {
	top := uint16(1<<(8*p.full) - 1)
	if (t.op == opEq || t.op == opNeq) && len(t.lo) >= p.from+p.n {
		mask, want, ok := p.masks(v, t.lo)
		k, w := small(mask[:p.full]), small(want[:p.full])
		before := len(a.small)
		a.small = appendMasked(a.small, bitTest{k, w, top, t.op == opNeq, ok})
		return len(a.small)-before <= maxRanges
	}
	if !p.whole() || !v.plain() || len(t.lo) < p.from+p.n {
		return false
	}
	lo, hi, ok := bounds(t, p)
	if !ok {
		return true // nothing passes
	}
	if t.op == opOut {
		if lo > 0 {
			a.small = append(a.small, host.Range[host.Port]{Lo: 0, Hi: host.Port(lo - 1)})
		}
		lo, hi = hi+1, top
		if lo == 0 || lo > top {
			return true
		}
	}
	a.small = append(a.small, host.Range[host.Port]{Lo: host.Port(lo), Hi: host.Port(hi)})
	return true
}

// small reads one or two bytes in network order.
func small(b []byte) uint16 {
	if len(b) == 1 {
		return uint16(b[0])
	}
	return binary.BigEndian.Uint16(b)
}

// maxRanges bounds the ranges that one masked comparison gives ("the last bit is
// set" gives 32,768); beyond it stands in words.
const maxRanges = 64

// bounds turns an order into an interval of numbers.
func bounds(t test, p piece) (lo, hi uint16, ok bool) {
	top := uint16(1<<(8*p.full) - 1)
	x := small(t.lo[p.from : p.from+p.n])
	switch t.op {
	case opLt:
		return 0, x - 1, x > 0
	case opLte:
		return 0, x, true
	case opGt:
		return x + 1, top, x < top
	case opGte:
		return x, top, true
	}
	if len(t.hi) < p.from+p.n {
		return 0, 0, false
	}
	return x, small(t.hi[p.from : p.from+p.n]), true
}

// bitTest asks that the bits of a number up to top under mask are want (or,
// with not, that they are not); with possible unset they never are.
type bitTest struct {
	mask, want, top uint16
	not, possible   bool
}

func (t bitTest) holds(n int) bool {
	return n <= int(t.top) && (t.possible && uint16(n)&t.mask == t.want) != t.not
}

// appendMasked adds the numbers that pass.
func appendMasked(out []host.Range[host.Port], t bitTest) []host.Range[host.Port] {
	free := ^t.mask & t.top
	if t.possible && free&(free+1) == 0 { // the mask is a prefix
		return appendBlock(out, t, t.want|free)
	}
	start := -1
	before := len(out)
	for n := 0; n <= int(t.top)+1 && len(out)-before <= maxRanges; n++ {
		switch in := t.holds(n); {
		case in && start < 0:
			start = n
		case !in && start >= 0:
			out = append(out, host.Range[host.Port]{Lo: host.Port(start), Hi: host.Port(n - 1)})
			start = -1
		}
	}
	return out
}

// appendBlock adds the numbers from want to last, or all but them.
func appendBlock(out []host.Range[host.Port], t bitTest, last uint16) []host.Range[host.Port] {
	if !t.not {
		return append(out, host.Range[host.Port]{Lo: host.Port(t.want), Hi: host.Port(last)})
	}
	if t.want > 0 {
		out = append(out, host.Range[host.Port]{Lo: 0, Hi: host.Port(t.want - 1)})
	}
	if last < t.top {
		out = append(out, host.Range[host.Port]{Lo: host.Port(last + 1), Hi: host.Port(t.top)})
	}
	return out
}

// addAddrs knows prefixes and, for whole addresses, intervals.
func (a *answer) addAddrs(p piece, v *value, t test) bool {
	if len(t.lo) < p.from+p.n {
		return false
	}
	if t.op == opEq || t.op == opNeq {
		mask, want, ok := p.masks(v, t.lo)
		if !ok {
			return false
		}
		length, prefix := prefixLength(mask[:p.full])
		if !prefix {
			return false
		}
		addr, _ := netip.AddrFromSlice(want[:p.full])
		a.addRange(addr, host.LastAddr(netip.PrefixFrom(addr, length)), t.op == opNeq)
		return true
	}
	if !p.whole() || !v.plain() {
		return false
	}
	return a.addOrdered(p, t)
}

func (a *answer) addOrdered(p piece, t test) bool {
	x, _ := netip.AddrFromSlice(t.lo[p.from : p.from+p.n])
	first := netip.AddrFrom4([4]byte{})
	if !x.Is4() {
		first = netip.IPv6Unspecified()
	}
	last := host.LastAddr(netip.PrefixFrom(first, 0))
	switch t.op {
	case opLt, opGte:
		a.addRange(x, last, t.op == opLt)
	case opLte, opGt:
		a.addRange(first, x, t.op == opGt)
	case opIn, opOut:
		if len(t.hi) < p.from+p.n {
			return false
		}
		y, _ := netip.AddrFromSlice(t.hi[p.from : p.from+p.n])
		a.addRange(x, y, t.op == opOut)
	}
	return true
}

func (a *answer) addRange(lo, hi netip.Addr, not bool) {
	if !not {
		a.addrs = append(a.addrs, host.Range[netip.Addr]{Lo: lo, Hi: hi})
		return
	}
	rest := host.NotAddrs(host.Of(host.Range[netip.Addr]{Lo: lo, Hi: hi}))
	a.addrs = append(a.addrs, rest...)
}

// prefixLength is the number of leading ones where a mask is a prefix.
func prefixLength(mask []byte) (int, bool) {
	n := 0
	for _, b := range mask {
		if n%8 == 0 {
			n += bits.LeadingZeros8(^b)
		}
	}
	for i, b := range mask {
		want := byte(0)
		if d := n - 8*i; d >= 8 {
			want = 0xff
		} else if d > 0 {
			want = ^byte(0xff >> d)
		}
		if b != want {
			return 0, false
		}
	}
	return n, true
}

// oneProto holds each protocol as a range, so that the many rules about a
// single one share its set. It is never changed.
var oneProto = func() (all host.Protos) {
	for p := range 256 {
		all = append(all, host.Range[host.Proto]{Lo: host.Proto(p), Hi: host.Proto(p)})
	}
	return all
}()

func (a *answer) ports(not bool) host.Ports {
	set := host.WholePorts(host.Of(a.small...))
	if not {
		return host.NotPorts(set)
	}
	return set
}

func (a *answer) protos(not bool) host.Protos {
	if len(a.small) == 1 && a.small[0].Lo == a.small[0].Hi && !not {
		return oneProto[a.small[0].Lo : a.small[0].Lo+1 : a.small[0].Lo+1]
	}
	ranges := make([]host.Range[host.Proto], 0, len(a.small))
	for _, r := range a.small {
		ranges = append(ranges, host.Range[host.Proto]{Lo: host.Proto(r.Lo), Hi: host.Proto(r.Hi)})
	}
	set := host.WholeProtos(host.Of(ranges...))
	if not {
		return host.NotProtos(set)
	}
	return set
}

func (a *answer) addresses(not bool) host.Addrs {
	set := host.Of(a.addrs...)
	if len(set) == 0 {
		if not {
			return nil
		}
		return set
	}
	if set = host.WholeAddrs(set); not {
		return host.NotAddrs(set)
	}
	return set
}
