package nft

import (
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"github.com/natwarden/natwarden/internal/host"
)

// format is how the contents of a field are written.
type format uint8

const (
	asNumber     format = iota // 0x1f, network order
	asDecimal                  // 31, network order
	asHostNumber               // 31, the machine's order
	asHostHex                  // 0x1f, the machine's order
	asAddr
	asAddrStart // the first bytes of an address: a prefix
	asProto
	asNfproto
	asEther
	asMAC
	asName
	asIfindex
	asPresence
	asAddrType
	asPkttype
	asIftype
	asDirection
	asCTState
	asCTStatus
	asTCPFlags
	asICMP
	asICMP6
	asTime
	asDay
	asLabel // a bit of the connection's labels
	asHour
)

// writeValue writes bytes that come from a field. swap: a byteorder expression
// turned them into network order.
func writeValue(f format, b []byte, swap bool) string {
	switch f {
	case asDecimal:
		return strconv.FormatUint(hostNumber(b, true), 10)
	case asHostNumber:
		return strconv.FormatUint(hostNumber(b, swap), 10)
	case asHostHex, asCTState, asCTStatus:
		return writeHostHex(f, b, swap)
	case asIfindex:
		return strconv.Quote("#" + strconv.FormatUint(hostNumber(b, swap), 10))
	case asAddr, asAddrStart:
		return addrText(b)
	case asProto:
		return host.Proto(hostNumber(b, true)).String()
	case asMAC:
		return net.HardwareAddr(b).String()
	case asName:
		return nameText(b)
	case asTime, asDay, asHour:
		return timeText(f, hostNumber(b, swap))
	}
	if names, ok := valueNames[f]; ok {
		if name, ok := names[hostNumber(b, f != asAddrType && f != asIftype || swap)]; ok {
			return name
		}
	}
	return fmt.Sprintf("%#x", b)
}

func writeHostHex(f format, b []byte, swap bool) string {
	if flags, ok := flagNames(f); ok {
		return flagList(flags, hostNumber(b, swap))
	}
	return fmt.Sprintf("%#x", hostNumber(b, swap))
}

func addrText(b []byte) string {
	if addr, ok := netip.AddrFromSlice(b); ok {
		return addr.String()
	}
	var whole [16]byte
	n := copy(whole[:], b)
	size := 16
	if n < 4 {
		size = 4
	}
	addr, _ := netip.AddrFromSlice(whole[:size])
	return addr.String() + "/" + strconv.Itoa(n*8)
}

func addrRangeText(lo, hi []byte) string {
	a, ok := netip.AddrFromSlice(lo)
	b, ok2 := netip.AddrFromSlice(hi)
	if !ok || !ok2 {
		return addrText(lo) + "-" + addrText(hi)
	}
	return host.AddrRangeString(a, b)
}

func nameText(b []byte) string {
	name := string(textBytes(b))
	if len(b) < nameSize && len(name) == len(b) {
		name += "*"
	}
	return strconv.Quote(name)
}

func timeText(f format, n uint64) string {
	switch f {
	case asTime:
		return strconv.Quote(time.Unix(0, int64(n)).UTC().Format("2006-01-02 15:04:05"))
	case asDay:
		if n < 7 {
			return strconv.Quote(time.Weekday(n).String())
		}
	case asHour:
		return strconv.Quote((time.Time{}).Add(time.Duration(n%86400)*time.Second).Format("15:04:05") + " UTC")
	}
	return strconv.FormatUint(n, 10)
}

// valueNames are the words for numbers (include/uapi/linux: rtnetlink.h
// RTN_*, if_arp.h ARPHRD_*, if_packet.h PACKET_*, if_ether.h, icmp.h, icmpv6.h).
var valueNames = map[format]map[uint64]string{
	asNfproto: {2: "ipv4", 10: "ipv6"},
	asEther:   {0x0800: "ip", 0x86dd: "ip6", 0x0806: "arp", 0x8100: "8021q", 0x88a8: "8021ad"},
	asAddrType: {0: "unspec", 1: "unicast", 2: "local", 3: "broadcast", 4: "anycast", 5: "multicast",
		6: "blackhole", 7: "unreachable", 8: "prohibit"},
	asIftype:    {1: "ether", 512: "ppp", 772: "loopback", 65534: "none"},
	asPkttype:   {0: "host", 1: "broadcast", 2: "multicast", 3: "other"},
	asDirection: {0: "original", 1: "reply"},
	asICMP: {0: "echo-reply", 3: "destination-unreachable", 5: "redirect", 8: "echo-request", 11: "time-exceeded",
		12: "parameter-problem"},
	asICMP6: {1: "destination-unreachable", 2: "packet-too-big", 3: "time-exceeded", 4: "parameter-problem",
		128: "echo-request", 129: "echo-reply", 133: "nd-router-solicit", 134: "nd-router-advert",
		135: "nd-neighbor-solicit", 136: "nd-neighbor-advert"},
}

type bitName struct {
	bit  uint64
	name string
}

// Bits of NFT_CT_STATE (NF_CT_STATE_BIT), enum ip_conntrack_status and the TCP header.
var (
	ctStates   = []bitName{{1, "invalid"}, {2, "established"}, {4, "related"}, {8, "new"}, {64, "untracked"}}
	ctStatuses = []bitName{{1, "expected"}, {2, "seen-reply"}, {4, "assured"}, {8, "confirmed"}, {16, "snat"}, {32, "dnat"},
		{512, "dying"}}
	tcpFlags = []bitName{{1, "fin"}, {2, "syn"}, {4, "rst"}, {8, "psh"}, {16, "ack"}, {32, "urg"}, {64, "ecn"}, {128, "cwr"}}
)

func flagNames(f format) ([]bitName, bool) {
	switch f {
	case asCTState:
		return ctStates, true
	case asCTStatus:
		return ctStatuses, true
	case asTCPFlags:
		return tcpFlags, true
	}
	return nil, false
}

func flagList(flags []bitName, n uint64) string {
	var names []string
	for _, f := range flags {
		if n&f.bit != 0 {
			names, n = append(names, f.name), n&^f.bit
		}
	}
	if n != 0 || len(names) == 0 {
		names = append(names, fmt.Sprintf("%#x", n))
	}
	return strings.Join(names, ",")
}

// flagWords writes " new,established" where any of the bits may be set, and
// " & (fin,syn) == syn" where some must be and others must not.
func flagWords(flags []bitName, v *value, t test, f format) string {
	big := f == asTCPFlags || v.swap
	want := hostNumber(t.lo, big)
	not := t.op == opNeq
	switch {
	case v.mask == nil && not:
		return " != " + flagList(flags, want)
	case v.mask == nil:
		return " " + flagList(flags, want)
	case want == 0 && not:
		return " " + flagList(flags, hostNumber(v.mask, big))
	case want == 0:
		return " ! " + flagList(flags, hostNumber(v.mask, big))
	}
	op := "=="
	if not {
		op = "!="
	}
	either := func(n uint64) string { return strings.ReplaceAll(flagList(flags, n), ",", " | ") }
	return fmt.Sprintf(" & (%s) %s %s", either(hostNumber(v.mask, big)), op, either(want))
}
