package suspect

import (
	"encoding/binary"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/natwarden/natwarden/internal/host"
)

type instruction struct {
	code   uint16
	jt, jf byte
	k      uint32
}

func assemble(list []instruction) []byte {
	var out []byte
	for _, i := range list {
		out = binary.NativeEndian.AppendUint16(out, i.code)
		out = append(out, i.jt, i.jf)
		out = binary.NativeEndian.AppendUint32(out, i.k)
	}
	return out
}

// dhcp is what a DHCP client asks for: "ip and udp dst port 68", as dhclient
// attaches it (common/bpf.c of ISC dhcp: ether type, protocol, no fragment, port).
func dhcp() []instruction {
	return []instruction{
		{0x28, 0, 0, 12}, {0x15, 0, 8, 0x800}, {0x30, 0, 0, 23}, {0x15, 0, 6, 17}, {0x28, 0, 0, 20}, {0x45, 4, 0, 0x1fff},
		{0xb1, 0, 0, 14}, {0x48, 0, 0, 16}, {0x15, 0, 1, 68}, {0x06, 0, 0, 0xffff}, {0x06, 0, 0, 0},
	}
}

func TestFilters(t *testing.T) {
	accept := []instruction{{0x06, 0, 0, 0xffff}}
	for name, c := range map[string]struct {
		filter []instruction
		proto  host.Proto
		port   uint16
		want   bool
	}{
		"none":                        {nil, host.TCP, 80, true},
		"all":                         {accept, host.TCP, 80, true},
		"nothing":                     {[]instruction{{0x06, 0, 0, 0}}, host.TCP, 80, false},
		"dhcp for a web server":       {dhcp(), host.TCP, 80, false},
		"dhcp for another service":    {dhcp(), host.UDP, 53, false},
		"dhcp for its own port":       {dhcp(), host.UDP, 68, true},
		"the protocol beside frames":  {[]instruction{{0x28, 0, 0, 0xfffff000}, {0x15, 0, 1, 0x800}, {0x06, 0, 0, 1}, {0x06, 0, 0, 0}}, host.TCP, 80, true},
		"from the network header":     {[]instruction{{0x30, 0, 0, 0xfff00009}, {0x15, 0, 1, 6}, {0x06, 0, 0, 1}, {0x06, 0, 0, 0}}, host.TCP, 80, true},
		"what is not modelled":        {[]instruction{{0x20, 0, 0, 0xfffff018}, {0x06, 0, 0, 0}}, host.TCP, 80, true},
		"a load beyond the frame":     {[]instruction{{0x20, 0, 0, 1 << 16}, {0x06, 0, 0, 1}}, host.TCP, 80, false},
		"an end that is missing":      {[]instruction{{0x00, 0, 0, 1}}, host.TCP, 80, true},
		"a jump out of the program":   {[]instruction{{0x05, 0, 0, 0xffffffff}}, host.TCP, 80, true},
		"what it computed":            {[]instruction{{0x00, 0, 0, 6}, {0x14, 0, 0, 6}, {0x16, 0, 0, 0}}, host.TCP, 80, false},
		"what it kept, by register X": {[]instruction{{0x01, 0, 0, 7}, {0x03, 0, 0, 2}, {0x60, 0, 0, 2}, {0x16, 0, 0, 0}}, host.TCP, 80, true},
	} {
		if got := passes(assemble(c.filter), knock(unix.ETH_P_IP, c.proto, c.port), 14, unix.ETH_P_IP); got != c.want {
			t.Errorf("%s: %v", name, got)
		}
	}
}

func FuzzFilter(f *testing.F) {
	f.Add(assemble(dhcp()), uint16(80))
	f.Add([]byte{1, 2, 3}, uint16(0))
	f.Fuzz(func(_ *testing.T, filter []byte, port uint16) {
		passes(filter, knock(unix.ETH_P_IPV6, host.TCP, port), 14, unix.ETH_P_IPV6)
	})
}
