package host

import (
	"fmt"
	"strconv"
	"strings"
)

// Proto is an IP protocol number (IANA "Assigned Internet Protocol Numbers").
type Proto uint8

// Protocols that natwarden speaks of by name.
const (
	ICMP    Proto = 1
	TCP     Proto = 6
	UDP     Proto = 17
	DCCP    Proto = 33
	ESP     Proto = 50
	AH      Proto = 51
	ICMPv6  Proto = 58
	SCTP    Proto = 132
	UDPLite Proto = 136
)

// Compare orders protocols by number.
func (p Proto) Compare(o Proto) int { return int(p) - int(o) }

// Next is the number above; of 255 it is 0.
func (p Proto) Next() Proto { return p + 1 }

// Prev is the number below; of 0 it is 255.
func (p Proto) Prev() Proto { return p - 1 }

// Protos is a set of protocols; nil is any.
type Protos = Set[Proto]

var allProtos = Range[Proto]{0, 255}

func protoName(p Proto) string {
	switch p {
	case ICMP:
		return "icmp"
	case TCP:
		return "tcp"
	case UDP:
		return "udp"
	case DCCP:
		return "dccp"
	case ESP:
		return "esp"
	case AH:
		return "ah"
	case ICMPv6:
		return "icmpv6"
	case SCTP:
		return "sctp"
	case UDPLite:
		return "udplite"
	}
	return strconv.Itoa(int(p))
}

// String is the usual lower-case name, or the number.
func (p Proto) String() string { return protoName(p) }

// HasPorts says whether the protocol's header starts with a source and a
// destination port.
func (p Proto) HasPorts() bool {
	switch p {
	case TCP, UDP, DCCP, SCTP, UDPLite:
		return true
	}
	return false
}

// ProtosOf gives the set of these protocols.
func ProtosOf(protos ...Proto) Protos {
	set := Nothing[Proto]()
	for _, p := range protos {
		set = set.Union(Protos{{p, p}})
	}
	return set.whole(allProtos)
}

// NotProtos gives the protocols that are not in p.
func NotProtos(p Protos) Protos { return p.complement(allProtos) }

// WholeProtos writes a set that holds every protocol as any.
func WholeProtos(p Protos) Protos { return p.whole(allProtos) }

// ProtosString writes protocols as the contract does: "tcp", "tcp,udp",
// "any", "!tcp".
func ProtosString(p Protos) string {
	switch {
	case p.Any():
		return "any"
	case p.Empty():
		return "none"
	case p[0].Lo == 0 && p[len(p)-1].Hi == 255:
		return "!" + protoList(NotProtos(p))
	}
	return protoList(p)
}

func protoList(set Protos) string {
	var names []string
	for _, r := range set {
		if int(r.Hi)-int(r.Lo) > 3 {
			names = append(names, fmt.Sprintf("%d-%d", r.Lo, r.Hi))
			continue
		}
		for p := int(r.Lo); p <= int(r.Hi); p++ {
			names = append(names, protoName(Proto(p)))
		}
	}
	return strings.Join(names, ",")
}

// ParseProtos reads what ProtosString writes.
func ParseProtos(text string) (Protos, error) {
	text = strings.ToLower(strings.TrimSpace(text))
	if text == "any" {
		return nil, nil
	}
	list, not := strings.CutPrefix(text, "!")
	var ranges []Range[Proto]
	for _, word := range strings.Split(list, ",") {
		r, err := parseProto(strings.TrimSpace(word))
		if err != nil {
			return Nothing[Proto](), err
		}
		ranges = append(ranges, r)
	}
	set := Of(ranges...)
	if not {
		return NotProtos(set), nil
	}
	return WholeProtos(set), nil
}

func parseProto(word string) (Range[Proto], error) {
	for p := 0; p < 256; p++ {
		if protoName(Proto(p)) == word {
			return Range[Proto]{Proto(p), Proto(p)}, nil
		}
	}
	low, high, ranged := strings.Cut(word, "-")
	lo, err := strconv.ParseUint(low, 10, 8)
	hi, err2 := lo, error(nil)
	if ranged {
		hi, err2 = strconv.ParseUint(high, 10, 8)
	}
	if err != nil || err2 != nil || hi < lo {
		return Range[Proto]{}, fmt.Errorf("%q is no protocol: want tcp, udp, sctp, udplite, dccp, icmp, icmpv6, esp, ah or a number from 0 to 255", word)
	}
	return Range[Proto]{Proto(lo), Proto(hi)}, nil
}
