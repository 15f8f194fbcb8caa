package policy

import "github.com/natwarden/natwarden/internal/host"

// index finds the entries that could contain a redirect, so that 50,000 rows
// against many entries stay cheap: by id, by the first port, by the
// chain, or any.
type index struct {
	byID    map[string][]int
	byPort  map[host.Port][]int
	byChain map[string][]int
	rest    []int
}

// maxIndexed is how many ports of an entry are worth a place each in the index.
const maxIndexed = 64

func newIndex(entries []RedirectEntry) *index {
	x := &index{byID: map[string][]int{}, byPort: map[host.Port][]int{}, byChain: map[string][]int{}}
	for i := range entries {
		x.add(i, &entries[i].Match)
	}
	return x
}

func (x *index) add(i int, m *RedirectMatch) {
	switch {
	case m.id != nil:
		for _, id := range m.id {
			x.byID[id] = append(x.byID[id], i)
		}
	case few(&m.ports):
		for _, r := range m.ports.set {
			for port := int(r.Lo); port <= int(r.Hi); port++ {
				x.byPort[host.Port(port)] = append(x.byPort[host.Port(port)], i)
			}
		}
	case m.chain != nil:
		for _, chain := range m.chain {
			x.byChain[chain] = append(x.byChain[chain], i)
		}
	default:
		x.rest = append(x.rest, i)
	}
}

func few(ports *portSet) bool {
	if !ports.restricted || ports.set.Any() {
		return false
	}
	count := 0
	for _, r := range ports.set {
		count += int(r.Hi) - int(r.Lo) + 1
	}
	return count <= maxIndexed
}

// candidates calls look with each entry that could contain the redirect. An
// entry with few ports contains it only if it has the first of its ports.
func (p *Policy) candidates(r *host.Redirect, e *extent, look func(i int)) {
	if p.index == nil {
		for i := range p.Redirects {
			look(i)
		}
		return
	}
	each(p.index.byID[r.ID], look)
	each(p.index.rest, look)
	if len(e.ports) > 0 {
		each(p.index.byPort[e.ports[0].Lo], look)
	}
	if r.Rule != nil {
		each(p.index.byChain[r.Rule.Chain], look)
	}
}

func each(entries []int, look func(i int)) {
	for _, i := range entries {
		look(i)
	}
}
