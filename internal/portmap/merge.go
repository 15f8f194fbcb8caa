package portmap

import (
	"github.com/natwarden/natwarden/internal/host"
	"github.com/natwarden/natwarden/internal/path"
)

// merged joins parts with the same answer that differ on one side only.
func merged(list []part) []part {
	for joined := true; joined && len(list) > 1; {
		joined = false
		var out []part
		for _, p := range list {
			if !joins(out, &p) {
				out = append(out, p)
			} else {
				joined = true
			}
		}
		list = out
	}
	return list
}

// joins adds a part to one of the list.
func joins(list []part, p *part) bool {
	for i := range list {
		if list[i].answer.equal(&p.answer) && union(&list[i].Class, &p.Class) {
			return true
		}
	}
	return false
}

// union adds b to a where both together are a box.
func union(a, b *path.Class) bool {
	if a.Proto != b.Proto || a.Family != b.Family || a.Own != b.Own {
		return false
	}
	same := [5]bool{a.Ports.Equal(b.Ports), a.To.Equal(b.To), a.From.Equal(b.From), a.SPorts.Equal(b.SPorts), a.In == b.In}
	differ := 0
	for _, s := range same {
		if !s {
			differ++
		}
	}
	if differ > 1 {
		return false
	}
	switch {
	case !same[0]:
		a.Ports = host.WholePorts(a.Ports.Union(b.Ports))
	case !same[1]:
		a.To = host.WholeAddrs(a.To.Union(b.To))
	case !same[2]:
		a.From = host.WholeAddrs(a.From.Union(b.From))
	case !same[3]:
		a.SPorts = host.WholePorts(a.SPorts.Union(b.SPorts))
	}
	a.In |= b.In
	return true
}
