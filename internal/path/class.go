package path

import (
	"math/bits"

	"github.com/natwarden/natwarden/internal/host"
)

// Class is a box of packets: every combination of what its fields hold.
type Class struct {
	Proto         host.Proto
	Family        host.Family // IP or IP6
	Own           bool        // this host itself sends them
	From, To      host.Addrs
	SPorts, Ports host.Ports
	In            Arrivals // not looked at where Own
}

// Arrivals are interfaces on which packets come in: bit n stands for the
// Engine's kind n of interface.
type Arrivals uint64

func (a Arrivals) has(n int) bool { return a&(1<<n) != 0 }

func (a Arrivals) first() int { return bits.TrailingZeros64(uint64(a)) }

// Empty says whether no packet is in the class.
func (c *Class) Empty() bool {
	return c.From.Empty() || c.To.Empty() || c.SPorts.Empty() || c.Ports.Empty() || c.In == 0 && !c.Own
}

// Has says whether a packet is in the class, if it arrives on one of the interfaces.
func (c *Class) Has(p *Packet, in Arrivals) bool {
	return p.Proto == c.Proto && p.family() == c.Family && p.Own == c.Own && (c.Own || c.In&in != 0) &&
		has(c.From, p.From) && has(c.To, p.To) && has(c.SPorts, host.Port(p.SPort)) && has(c.Ports, host.Port(p.Port))
}

// Without gives the packets of the class that are not in o, as classes that
// have nothing in common.
func (c *Class) Without(o *Class) []Class {
	var out []Class
	rest := *c
	keep := func(piece Class) {
		if !piece.Empty() {
			out = append(out, piece)
		}
	}
	piece := rest
	piece.Ports, rest.Ports = minus(rest.Ports, o.Ports, host.NotPorts), rest.Ports.Intersect(o.Ports)
	keep(piece)
	piece = rest
	piece.To, rest.To = minus(rest.To, o.To, host.NotAddrs), rest.To.Intersect(o.To)
	keep(piece)
	piece = rest
	piece.From, rest.From = minus(rest.From, o.From, host.NotAddrs), rest.From.Intersect(o.From)
	keep(piece)
	piece = rest
	piece.SPorts, rest.SPorts = minus(rest.SPorts, o.SPorts, host.NotPorts), rest.SPorts.Intersect(o.SPorts)
	keep(piece)
	if !c.Own {
		rest.In &^= o.In
		keep(rest)
	}
	return out
}

func minus[T host.Point[T]](a, b host.Set[T], not func(host.Set[T]) host.Set[T]) host.Set[T] {
	if b.Any() || len(a) == 1 && len(b) == 1 && a[0] == b[0] {
		return host.Nothing[T]()
	}
	return a.Intersect(not(b))
}
