package host

import (
	"fmt"
	"strconv"
	"strings"
)

// Port is a TCP, UDP, UDP-Lite, SCTP or DCCP port.
type Port uint16

// Compare orders ports by number.
func (p Port) Compare(o Port) int { return int(p) - int(o) }

// Next is the port above; of 65535 it is 0.
func (p Port) Next() Port { return p + 1 }

// Prev is the port below; of 0 it is 65535.
func (p Port) Prev() Port { return p - 1 }

// Ports is a set of ports; nil is any.
type Ports = Set[Port]

var allPorts = Range[Port]{0, 65535}

// PortsOf gives the ports from lo to hi; 0 to 65535 is any.
func PortsOf(lo, hi uint16) Ports { return Of(Range[Port]{Port(lo), Port(hi)}).whole(allPorts) }

// WholePorts writes a set that holds every port as any.
func WholePorts(p Ports) Ports { return p.whole(allPorts) }

// NotPorts gives the ports that are not in p.
func NotPorts(p Ports) Ports { return p.complement(allPorts) }

// PortsString writes ports as the contract does: "any", "80,443,9000-9005",
// "!22" for a set that holds both ends of the range, "none".
func PortsString(p Ports) string {
	switch {
	case p.Any():
		return "any"
	case p.Empty():
		return "none"
	case p[0].Lo == 0 && p[len(p)-1].Hi == 65535:
		return "!" + portList(NotPorts(p))
	}
	return portList(p)
}

func portList(p Ports) string {
	var b strings.Builder
	for i, r := range p {
		if i > 0 {
			b.WriteByte(',')
		}
		b.WriteString(strconv.Itoa(int(r.Lo)))
		if r.Hi != r.Lo {
			b.WriteByte('-')
			b.WriteString(strconv.Itoa(int(r.Hi)))
		}
	}
	return b.String()
}

// ParsePorts reads what PortsString writes.
func ParsePorts(text string) (Ports, error) {
	text = strings.TrimSpace(text)
	if text == "any" {
		return nil, nil
	}
	list, not := strings.CutPrefix(text, "!")
	var ranges []Range[Port]
	for _, part := range strings.Split(list, ",") {
		r, err := parsePortRange(strings.TrimSpace(part))
		if err != nil {
			return Nothing[Port](), err
		}
		ranges = append(ranges, r)
	}
	set := Of(ranges...)
	if not {
		return NotPorts(set), nil
	}
	return WholePorts(set), nil
}

func parsePortRange(text string) (Range[Port], error) {
	low, high, ranged := strings.Cut(text, "-")
	lo, err := strconv.ParseUint(low, 10, 16)
	if err != nil {
		return Range[Port]{}, fmt.Errorf("%q is no port: want a number from 0 to 65535, a range A-B, a list, or !LIST", text)
	}
	if !ranged {
		return Range[Port]{Port(lo), Port(lo)}, nil
	}
	hi, err := strconv.ParseUint(high, 10, 16)
	if err != nil || hi < lo {
		return Range[Port]{}, fmt.Errorf("%q is no range of ports: want A-B with A not above B, both from 0 to 65535", text)
	}
	return Range[Port]{Port(lo), Port(hi)}, nil
}
