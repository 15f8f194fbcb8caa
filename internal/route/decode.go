package route

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"strings"

	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"
)

// route is one RTM_NEWROUTE (struct rtmsg, include/uapi/linux/rtnetlink.h).
type route struct {
	raw     raw
	family  uint8
	kind    uint8 // RTN_*
	proto   uint8 // RTPROT_*
	table   uint32
	dst     netip.Prefix
	gateway netip.Addr
	via     netip.Addr // the gateway of an IPv4 route that is an IPv6 address (RTA_VIA)
	oif     uint32
	more    bool // several next hops
	metric  uint32
}

// rule is one RTM_NEWRULE (struct fib_rule_hdr, include/uapi/linux/fib_rules.h).
type rule struct {
	raw            raw
	family         uint8
	action         uint8 // FR_ACT_*
	priority       uint32
	table          uint32
	src, dst       netip.Prefix
	iif, oif       string
	mark, markMask uint32
	hasMark        bool
	proto          uint8
	sport, dport   [2]uint16 // 0,0: any
	invert         bool
	tos            uint8
	uid            bool
	l3mdev         bool
	goTo           uint32
}

// neighbour is one proxy entry (struct ndmsg with NTF_PROXY, include/uapi/linux/neighbour.h).
type neighbour struct {
	raw     raw
	family  uint8
	ifindex uint32
	addr    netip.Addr
}

// address is one RTM_NEWADDR (struct ifaddrmsg, include/uapi/linux/if_addr.h).
type address struct {
	family  uint8
	ifindex uint32
	flags   uint32
	scope   uint8
	prefix  netip.Prefix
}

var errShort = errors.New("message is shorter than its header")

func decodeRoute(b raw) (route, error) {
	if len(b) < unix.SizeofRtMsg {
		return route{}, errShort
	}
	r := route{raw: b, family: b[0], kind: b[7], proto: b[5], table: uint32(b[4])}
	bits, dst := int(b[1]), netip.Addr{}
	ad, err := netlink.NewAttributeDecoder(b[unix.SizeofRtMsg:])
	if err != nil {
		return route{}, fmt.Errorf("attributes of a route: %w", err)
	}
	for ad.Next() {
		switch ad.Type() {
		case unix.RTA_DST:
			dst, _ = netip.AddrFromSlice(ad.Bytes())
		case unix.RTA_TABLE:
			r.table = ad.Uint32()
		case unix.RTA_GATEWAY:
			r.gateway, _ = netip.AddrFromSlice(ad.Bytes())
		case unix.RTA_VIA:
			r.via = viaAddr(ad.Bytes())
		case unix.RTA_OIF:
			r.oif = ad.Uint32()
		case unix.RTA_PRIORITY:
			r.metric = ad.Uint32()
		case unix.RTA_MULTIPATH, rtaNexthopID:
			r.more = true
		}
	}
	r.dst, err = prefix(r.family, dst, bits)
	return r, errors.Join(ad.Err(), err)
}

// viaAddr reads a struct rtvia: the family, and its address.
func viaAddr(b []byte) netip.Addr {
	if len(b) < 2 {
		return netip.Addr{}
	}
	a, _ := netip.AddrFromSlice(b[2:])
	return a
}

// prefix makes the prefix of an address that is left out when it is all zeros.
func prefix(family uint8, a netip.Addr, bits int) (netip.Prefix, error) {
	if !a.IsValid() {
		a = netip.IPv4Unspecified()
		if family == unix.AF_INET6 {
			a = netip.IPv6Unspecified()
		}
	}
	return a.Prefix(bits)
}

func decodeRule(b raw) (rule, error) {
	if len(b) < unix.SizeofRtMsg {
		return rule{}, errShort
	}
	r := rule{raw: b, family: b[0], tos: b[3], table: uint32(b[4]), action: b[7], markMask: 0xffffffff}
	r.invert = binary.NativeEndian.Uint32(b[8:12])&fibRuleInvert != 0
	var src, dst netip.Addr
	ad, err := netlink.NewAttributeDecoder(b[unix.SizeofRtMsg:])
	if err != nil {
		return rule{}, fmt.Errorf("attributes of a policy rule: %w", err)
	}
	for ad.Next() {
		switch ad.Type() {
		case unix.FRA_SRC:
			src, _ = netip.AddrFromSlice(ad.Bytes())
		case unix.FRA_DST:
			dst, _ = netip.AddrFromSlice(ad.Bytes())
		default:
			r.attribute(ad)
		}
	}
	var err1, err2 error
	r.dst, err1 = prefix(r.family, dst, int(b[1]))
	r.src, err2 = prefix(r.family, src, int(b[2]))
	return r, errors.Join(ad.Err(), err1, err2)
}

// fibRuleInvert is FIB_RULE_INVERT of include/uapi/linux/fib_rules.h.
const fibRuleInvert = 0x2

func (r *rule) attribute(ad *netlink.AttributeDecoder) {
	switch ad.Type() {
	case unix.FRA_PRIORITY:
		r.priority = ad.Uint32()
	case unix.FRA_TABLE:
		r.table = ad.Uint32()
	case unix.FRA_IIFNAME:
		r.iif = ad.String()
	case unix.FRA_OIFNAME:
		r.oif = ad.String()
	case unix.FRA_FWMARK:
		r.mark, r.hasMark = ad.Uint32(), true
	case unix.FRA_FWMASK:
		r.markMask = ad.Uint32()
	case unix.FRA_IP_PROTO:
		r.proto = ad.Uint8()
	case unix.FRA_SPORT_RANGE:
		r.sport = portRange(ad.Bytes())
	case unix.FRA_DPORT_RANGE:
		r.dport = portRange(ad.Bytes())
	case unix.FRA_UID_RANGE:
		r.uid = true
	case unix.FRA_L3MDEV:
		r.l3mdev = ad.Uint8() != 0
	case unix.FRA_GOTO:
		r.goTo = ad.Uint32()
	}
}

// portRange reads struct fib_rule_port_range: two ports in host order.
func portRange(b []byte) [2]uint16 {
	if len(b) < 4 {
		return [2]uint16{}
	}
	return [2]uint16{binary.NativeEndian.Uint16(b), binary.NativeEndian.Uint16(b[2:])}
}

func decodeNeighbour(b raw) (neighbour, error) {
	if len(b) < unix.SizeofNdMsg {
		return neighbour{}, errShort
	}
	n := neighbour{raw: b, family: b[0], ifindex: binary.NativeEndian.Uint32(b[4:8])}
	ad, err := netlink.NewAttributeDecoder(b[unix.SizeofNdMsg:])
	if err != nil {
		return neighbour{}, fmt.Errorf("attributes of a proxy neighbour: %w", err)
	}
	for ad.Next() {
		if ad.Type() == unix.NDA_DST {
			n.addr, _ = netip.AddrFromSlice(ad.Bytes())
		}
	}
	return n, ad.Err()
}

func decodeAddress(b raw) (address, error) {
	if len(b) < unix.SizeofIfAddrmsg {
		return address{}, errShort
	}
	a := address{family: b[0], flags: uint32(b[2]), scope: b[3], ifindex: binary.NativeEndian.Uint32(b[4:8])}
	ad, err := netlink.NewAttributeDecoder(b[unix.SizeofIfAddrmsg:])
	if err != nil {
		return address{}, fmt.Errorf("attributes of an address: %w", err)
	}
	var local, peer netip.Addr
	for ad.Next() {
		switch ad.Type() {
		case unix.IFA_LOCAL:
			local, _ = netip.AddrFromSlice(ad.Bytes())
		case unix.IFA_ADDRESS:
			peer, _ = netip.AddrFromSlice(ad.Bytes())
		case unix.IFA_FLAGS:
			a.flags = ad.Uint32()
		}
	}
	if !local.IsValid() {
		local = peer
	}
	a.prefix = netip.PrefixFrom(local, int(b[1]))
	return a, ad.Err()
}

// String writes a policy rule as `ip rule` does.
func (r rule) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%d:", r.priority)
	if r.invert {
		b.WriteString(" not")
	}
	b.WriteString(" from " + prefixText(r.src))
	if r.dst.Bits() > 0 {
		b.WriteString(" to " + prefixText(r.dst))
	}
	if r.hasMark {
		fmt.Fprintf(&b, " fwmark %#x", r.mark)
		if r.markMask != 0xffffffff {
			fmt.Fprintf(&b, "/%#x", r.markMask)
		}
	}
	r.selectors(&b)
	fmt.Fprintf(&b, " lookup %s", tableName(r.table))
	return b.String()
}

func (r rule) selectors(b *strings.Builder) {
	for _, part := range []struct{ word, value string }{
		{"iif", r.iif}, {"oif", r.oif}, {"ipproto", protoText(r.proto)}, {"sport", rangeText(r.sport)}, {"dport", rangeText(r.dport)},
	} {
		if part.value != "" {
			b.WriteString(" " + part.word + " " + part.value)
		}
	}
}

// rtaNexthopID is RTA_NH_ID of include/uapi/linux/rtnetlink.h: a next hop object.
const rtaNexthopID = 30
