package ipvs

import (
	"encoding/hex"
	"fmt"
	"net/netip"
	"strconv"
	"strings"

	"github.com/natwarden/natwarden/internal/host"
)

// parseProc reads /proc/net/ip_vs (ip_vs_info_seq_show in
// net/netfilter/ipvs/ip_vs_ctl.c) into one line for each service and
// destination, in the words of service.lines. A line that is not understood
// stays as it is, so that it agrees with nothing.
func parseProc(text string) []string {
	var out []string
	of := ""
	for i, line := range strings.Split(text, "\n") {
		fields := strings.Fields(line)
		if i < 3 || len(fields) < 2 { // version, and two lines of headings
			continue
		}
		if fields[0] == "->" {
			out = append(out, of+" -> "+destLine(fields))
			continue
		}
		of = serviceLine(fields)
		out = append(out, of)
	}
	return out
}

func serviceLine(fields []string) string {
	if fields[0] == "FWM" {
		mark, err := strconv.ParseUint(fields[1], 16, 32)
		if err != nil {
			return strings.Join(fields, " ")
		}
		return markName(uint32(mark))
	}
	at, ok := hexAddress(fields[1])
	if !ok {
		return strings.Join(fields, " ")
	}
	return strings.ToLower(fields[0]) + " " + at.String()
}

func destLine(fields []string) string {
	at, ok := hexAddress(fields[1])
	if !ok || len(fields) < 4 {
		return strings.Join(fields, " ")
	}
	return fmt.Sprintf("%s %s weight %s", at, fields[2], fields[3])
}

// hexAddress reads C0000201:0050, and [2001:0db8:…:0001]:0050 of IPv6.
func hexAddress(text string) (netip.AddrPort, bool) {
	i := strings.LastIndexByte(text, ':')
	if i < 0 {
		return netip.AddrPort{}, false
	}
	port, err := strconv.ParseUint(text[i+1:], 16, 16)
	if err != nil {
		return netip.AddrPort{}, false
	}
	if v6, ok := strings.CutPrefix(text[:i], "["); ok {
		a, err := netip.ParseAddr(strings.TrimSuffix(v6, "]"))
		return netip.AddrPortFrom(a, uint16(port)), err == nil
	}
	b, err := hex.DecodeString(text[:i])
	if err != nil || len(b) != 4 {
		return netip.AddrPort{}, false
	}
	return netip.AddrPortFrom(netip.AddrFrom4([4]byte(b)), uint16(port)), true
}

// name says which service it is, as proc.go reads it.
func (s *service) name() string {
	if s.mark != 0 {
		return markName(s.mark)
	}
	return host.Proto(s.protocol).String() + " " + netip.AddrPortFrom(s.addr, s.port).String()
}

func markName(mark uint32) string { return fmt.Sprintf("fwmark %#x", mark) }

// lines are the service and its destinations, one each.
func (s *service) lines() []string {
	out := []string{s.name()}
	for _, d := range s.dests {
		out = append(out, s.name()+" -> "+fmt.Sprintf("%s %s weight %d", netip.AddrPortFrom(d.addr, d.port), methodName(d.method), d.weight))
	}
	return out
}
