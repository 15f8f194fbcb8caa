package nft

import (
	"bytes"
	"slices"
	"strings"

	"github.com/natwarden/natwarden/internal/host"
)

// nameSize is IFNAMSIZ: a name compared in full has its NUL in these bytes.
const nameSize = 16

// addName knows equality of interface names. A comparison that stops before
// the NUL takes every name with that beginning ("eth*").
func (a *answer) addName(v *value, t test) bool {
	if t.op == opIn {
		t = nameInterval(t)
	}
	if t.op > opNeq || !v.plain() {
		return false
	}
	name := string(textBytes(t.lo))
	if len(t.lo) < nameSize && bytes.IndexByte(t.lo, 0) < 0 {
		name += "*"
	}
	a.names, a.not = append(a.names, name), t.op == opNeq
	return true
}

func (a *answer) addIndex(m *machine, v *value, t test) bool {
	if t.op > opNeq || !v.plain() || len(t.lo) < 4 {
		return false
	}
	index := uint32(hostNumber(t.lo, v.swap))
	a.names, a.not = append(a.names, m.t.ifname(index)), t.op == opNeq
	return true
}

// ifname names an interface by its index; "#5" where there is none.
func (d *decoder) ifname(index uint32) string {
	if d.env.Ifname != nil {
		if name := d.env.Ifname(index); name != "" {
			return name
		}
	}
	return "#" + itoa(int(index))
}

// applyIface joins a condition on a name to one that is there already.
func (m *machine) applyIface(s *state, have *host.Ifaces, want host.Ifaces, word string) {
	switch {
	case have.Any():
		*have = want
	case have.Not && want.Not:
		have.Names = union(have.Names, want.Names)
	case starred(have.Names) || starred(want.Names):
		if have.Not != want.Not || !slices.Equal(have.Names, want.Names) {
			field := host.FieldIn
			if word == "oifname" {
				field = host.FieldOut
			}
			s.branch.Match.Expect(host.Test{Words: word + " " + want.String(), Field: field, Ifaces: want})
		}
	default:
		have.Names, have.Not = meetNames(*have, want), false
		if len(have.Names) == 0 {
			have.Names = want.Names
			s.kill(contradiction)
		}
	}
}

// meetNames gives the names that fit both; at most one of the two is negated.
func meetNames(a, b host.Ifaces) []string {
	if a.Not {
		a, b = b, a
	}
	var out []string
	for _, name := range a.Names {
		if slices.Contains(b.Names, name) != b.Not {
			out = append(out, name)
		}
	}
	return out
}

func union(a, b []string) []string {
	out := slices.Clone(a)
	for _, name := range b {
		if !slices.Contains(out, name) {
			out = append(out, name)
		}
	}
	return out
}

func starred(names []string) bool {
	return slices.ContainsFunc(names, func(n string) bool { return strings.HasSuffix(n, "*") })
}

// applyFamily reads NFPROTO_* or ethertypes. Those that are neither IPv4 nor
// IPv6 are carried in words: no redirect of an address takes them.
func (m *machine) applyFamily(s *state, a *answer, not bool) {
	v4, v6, other := a.families()
	if not || a.not {
		v4, v6, other = !v4, !v6, true
	}
	want := host.Family("none")
	switch {
	case v4 && v6:
		want = host.Both
	case v4:
		want = host.IP
	case v6:
		want = host.IP6
	case other:
		s.require("neither IPv4 nor IPv6")
		return
	}
	if have := m.family(s); have != "" {
		if want != host.Both && want != have {
			s.kill(contradiction)
		}
		return
	}
	if want == host.Both && s.branch.Match.Family == "" {
		return
	}
	s.branch.Match.Family = want
}

// families says which families the numbers name, and whether they name others.
func (a *answer) families() (v4, v6, other bool) {
	ipv4, ipv6 := host.Port(2), host.Port(10) // NFPROTO_IPV4, NFPROTO_IPV6
	if a.dim == dimEther {
		ipv4, ipv6 = 0x0800, 0x86dd // ETH_P_IP, ETH_P_IPV6
	}
	for _, r := range a.small {
		count := int(r.Hi) - int(r.Lo) + 1
		for _, known := range []struct {
			number host.Port
			found  *bool
		}{{ipv4, &v4}, {ipv6, &v6}} {
			if r.Lo <= known.number && known.number <= r.Hi {
				*known.found = true
				count--
			}
		}
		other = other || count > 0
	}
	return v4, v6, other
}
