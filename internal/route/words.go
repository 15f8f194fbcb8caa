package route

import (
	"fmt"
	"net/netip"
	"strconv"

	"golang.org/x/sys/unix"

	"github.com/natwarden/natwarden/internal/host"
)

func prefixText(p netip.Prefix) string {
	switch {
	case p.Bits() <= 0:
		return "all"
	case p.IsSingleIP():
		return p.Addr().String()
	}
	return p.String()
}

func protoText(p uint8) string {
	if p == 0 {
		return ""
	}
	return host.Proto(p).String()
}

func rangeText(r [2]uint16) string {
	switch {
	case r == [2]uint16{}:
		return ""
	case r[0] == r[1]:
		return strconv.Itoa(int(r[0]))
	}
	return fmt.Sprintf("%d-%d", r[0], r[1])
}

func tableName(t uint32) string {
	switch t {
	case unix.RT_TABLE_LOCAL:
		return "local"
	case unix.RT_TABLE_MAIN:
		return "main"
	case unix.RT_TABLE_DEFAULT:
		return "default"
	}
	return strconv.Itoa(int(t))
}

func familyOf(f uint8) host.Family {
	if f == unix.AF_INET6 {
		return host.IP6
	}
	return host.IP
}

// text writes a route as `ip route` does.
func (v *view) text(r route) string { return write(r, v.ifname(r.oif)) }

// typed is text as a shell takes it: anybody may have named the interface.
func (v *view) typed(r route) string { return write(r, host.ShellWord(v.ifname(r.oif))) }

func write(r route, device string) string {
	dst := prefixText(r.dst)
	if dst == "all" {
		dst = "default"
	}
	text := kindWord(r.kind) + dst
	if r.gateway.IsValid() {
		text += " via " + r.gateway.String()
	}
	if r.oif != 0 {
		text += " dev " + device
	}
	return text + " table " + tableName(r.table)
}

func kindWord(kind uint8) string {
	switch kind {
	case unix.RTN_LOCAL:
		return "local "
	case unix.RTN_BLACKHOLE:
		return "blackhole "
	case unix.RTN_UNREACHABLE:
		return "unreachable "
	case unix.RTN_PROHIBIT:
		return "prohibit "
	}
	return ""
}

func priority(r rule) string { return strconv.Itoa(int(r.priority)) }

func markText(r rule) string {
	if r.markMask == 0xffffffff {
		return fmt.Sprintf("%#x", r.mark)
	}
	return fmt.Sprintf("%#x/%#x", r.mark, r.markMask)
}
