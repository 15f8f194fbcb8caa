package portmap

import (
	"fmt"
	"net/netip"
	"strings"

	"github.com/natwarden/natwarden/internal/host"
	"github.com/natwarden/natwarden/internal/path"
)

// mostNames bounds the addresses, ports and interfaces that a condition lists.
const mostNames = 12

// condition writes what of a part is no column of its line.
func (m *Map) condition(p *part, r *host.Redirect) string {
	var words []string
	if !p.From.Any() {
		words = append(words, "from "+short(host.AddrsString(p.From)))
	}
	if in := m.inWords(p, r); in != "" {
		words = append(words, in)
	}
	if !p.SPorts.Any() {
		words = append(words, "source port "+short(host.PortsString(p.SPorts)))
	}
	if p.when != "" {
		words = append(words, p.when)
	}
	return strings.Join(words, ", ")
}

// short leaves the end of a long list away.
func short(list string) string {
	parts := strings.SplitN(list, ",", mostNames+2)
	if len(parts) <= mostNames+1 {
		return list
	}
	return fmt.Sprintf("%s and %d more", strings.Join(parts[:mostNames], ","), strings.Count(list, ",")+1-mostNames)
}

// inWords names the interfaces of a part, as its row does where they are the same.
func (m *Map) inWords(p *part, r *host.Redirect) string {
	all := m.engine.Present()
	if r != nil && !r.Match.In.Any() && p.In == all&m.engine.Fitting(r.Match.In) {
		return "in " + r.Match.In.String()
	}
	if p.In == all {
		return ""
	}
	names, others := m.engine.Names(p.In), m.engine.Names(all&^p.In)
	if len(others) < len(names) {
		return "in not " + short(strings.Join(others, " or "))
	}
	return "in " + short(strings.Join(names, " or "))
}

// addressWords writes destination addresses; "" for all that packets from outside have.
func addressWords(c *path.Class) string {
	to := c.To
	if !to.Any() && around(to, loopback(c.Family)) {
		to = host.WholeAddrs(to.Union(loopback(c.Family)))
	}
	return host.AddrsString(to)
}

// around says whether a set holds what is on both sides of another one.
func around(set, hole host.Addrs) bool {
	return set.Has(hole[0].Lo.Prev()) && set.Has(hole[0].Hi.Next())
}

func socketAddress(l *host.Listener) string {
	a, err := netip.ParseAddr(l.Address)
	if err != nil {
		return fmt.Sprintf("%s:%d", l.Address, l.Port)
	}
	return netip.AddrPortFrom(a, l.Port).String()
}
