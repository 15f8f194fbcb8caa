package ipvs

import (
	"fmt"
	"net/netip"
	"strings"

	"golang.org/x/sys/unix"
)

// option names the service as ipvsadm(8) does.
func (s *service) option() string {
	if s.mark != 0 {
		text := fmt.Sprintf("-f %d", s.mark)
		if s.family == unix.AF_INET6 {
			text += " -6"
		}
		return text
	}
	flag := "-t"
	switch s.protocol {
	case unix.IPPROTO_UDP:
		flag = "-u"
	case unix.IPPROTO_SCTP:
		flag = "--sctp-service"
	}
	return flag + " " + netip.AddrPortFrom(s.addr, s.port).String()
}

// text is the service with its destinations as the options of ipvsadm(8) that
// would make it.
func (s *service) text() string {
	words := []string{s.option(), "-s " + s.scheduler}
	if s.flags&flagPersistent != 0 {
		words = append(words, fmt.Sprintf("-p %d", s.timeout))
		if mask := s.mask(); mask != "" {
			words = append(words, "-M "+mask)
		}
	}
	if s.engine != "" {
		words = append(words, "--pe "+s.engine)
	}
	if s.flags&flagOnePacket != 0 {
		words = append(words, "-o")
	}
	for i, bit := range []uint32{flagSched1, flagSched2, flagSched3} {
		if s.flags&bit != 0 {
			words = append(words, fmt.Sprintf("-b flag-%d", i+1))
		}
	}
	parts := []string{strings.Join(words, " ")}
	for _, d := range s.dests {
		parts = append(parts, d.text())
	}
	return strings.Join(parts, ", ")
}

// mask is the persistence mask where it is not of the whole address: dotted of
// IPv4, a prefix length of IPv6.
func (s *service) mask() string {
	switch {
	case s.family == unix.AF_INET6 && s.netmaskV6() != 128:
		return fmt.Sprint(s.netmaskV6())
	case s.family == unix.AF_INET && s.netmask != [4]byte{255, 255, 255, 255}:
		return netip.AddrFrom4(s.netmask).String()
	}
	return ""
}

// text is the destination as the options of ipvsadm(8).
func (d dest) text() string {
	text := "-r " + netip.AddrPortFrom(d.addr, d.port).String()
	switch d.method & methodMask {
	case 0:
		text += " -m"
	case 2:
		text += " -i" + d.tunnel()
	case 1, 3: // the kernel shows a destination on this host as Local, whatever was asked
		text += " -g"
	default:
		text += " " + methodName(d.method)
	}
	text += fmt.Sprintf(" -w %d", d.weight)
	if d.upper != 0 || d.lower != 0 {
		text += fmt.Sprintf(" -x %d -y %d", d.upper, d.lower)
	}
	return text
}

// tunnel is the encapsulation where it is not plain IP in IP
// (IP_VS_CONN_F_TUNNEL_TYPE_* of include/uapi/linux/ip_vs.h).
func (d dest) tunnel() string {
	switch d.tunType {
	case 0:
		return ""
	case 1:
		return fmt.Sprintf(" --tun-type gue --tun-port %d", d.tunPort)
	case 2:
		return " --tun-type gre"
	}
	return fmt.Sprintf(" tunnel type %d", d.tunType)
}
