package portmap

import (
	"maps"
	"net/netip"
	"slices"

	"github.com/natwarden/natwarden/internal/host"
	"github.com/natwarden/natwarden/internal/path"
)

// portProtos are the protocols whose ports the map is about.
var portProtos = []host.Proto{host.TCP, host.UDP, host.SCTP, host.UDPLite}

var loopback4 = host.AddrsOf(netip.MustParsePrefix("127.0.0.0/8"))
var loopback6 = host.AddrsOf(netip.MustParsePrefix("::1/128"))

func loopback(f host.Family) host.Addrs {
	if f == host.IP6 {
		return loopback6
	}
	return loopback4
}

// boxes are the packets that a row may take, as they come from outside.
func (m *Map) boxes(r *host.Redirect, in path.Arrivals, protos []host.Proto) []path.Class {
	var out []path.Class
	match := r.Match
	for _, p := range protos {
		if !match.Protos.Has(p) {
			continue
		}
		for _, f := range familiesOf(r) {
			c := path.Class{Proto: p, Family: f, From: match.Source, To: match.Address, Ports: match.Ports, SPorts: match.SPorts,
				In: in & m.engine.Fitting(match.In)}
			if !c.Empty() {
				out = append(out, c)
			}
		}
	}
	return out
}

// familiesOf are the families of packets that the row's sets are about.
func familiesOf(r *host.Redirect) []host.Family {
	for _, set := range []host.Addrs{r.Match.Address, r.Match.Source} {
		if len(set) == 0 {
			continue
		}
		f := host.IP6
		if set[0].Lo.Is4() {
			f = host.IP
		}
		if r.Match.Family == host.Both || r.Match.Family == "" || r.Match.Family == f {
			return []host.Family{f}
		}
		return nil
	}
	switch r.Match.Family {
	case host.IP, host.IP6:
		return []host.Family{r.Match.Family}
	case host.Both, "":
		return []host.Family{host.IP, host.IP6}
	}
	return nil
}

// everyProto are protocols that stand for all of them: those whose ports the map
// is about, those that rules name, and one that none names.
func (m *Map) everyProto() []host.Proto {
	named := map[host.Proto]bool{}
	for _, t := range m.world.Space.Tables {
		for _, c := range t.Chains {
			for _, r := range c.Rules {
				for b := range r.Branches {
					for _, p := range r.Branches[b].Match.Protos {
						named[p.Lo], named[p.Hi], named[p.Lo.Prev()], named[p.Hi.Next()] = true, true, true, true
					}
				}
			}
		}
	}
	out := slices.Clone(portProtos)
	for _, p := range slices.Sorted(maps.Keys(named)) {
		if !slices.Contains(out, p) {
			out = append(out, p)
		}
	}
	return append(out, unnamed(named))
}

// hasLists says whether a rule looks into an ipset.
func (m *Map) hasLists() bool {
	for _, t := range m.world.Space.Tables {
		for _, c := range t.Chains {
			for _, r := range c.Rules {
				if slices.ContainsFunc(r.Branches, func(b host.Branch) bool { return len(b.Match.Lists) > 0 }) {
					return true
				}
			}
		}
	}
	return false
}

func unnamed(named map[host.Proto]bool) host.Proto {
	for p := host.Proto(255); p > 0; p-- {
		if !named[p] {
			return p
		}
	}
	return 0
}
