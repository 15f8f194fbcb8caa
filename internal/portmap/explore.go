package portmap

import (
	"runtime"
	"slices"
	"sync"

	"github.com/natwarden/natwarden/internal/host"
	"github.com/natwarden/natwarden/internal/path"
)

// allCells is how many cells of a namespace are looked at, unless it has very
// many rows; leastCells and mostCells bound those of one row, protocol and family.
const (
	allCells   = 20_000
	leastCells = 64
	mostCells  = 256
)

// Map is what was found out about one namespace.
type Map struct {
	engine  *path.Engine
	world   path.World
	rows    []host.Redirect
	found   []found // of each row
	by      map[*host.Effect][]int
	acted   map[*host.Effect]bool
	cells   int       // to look at of one row
	sockets *explorer // of listeners
	loose   bool      // rules rewrite packets: what a row sees is not what came
}

// found is what became of the packets of one row.
type found struct {
	parts   []part
	rest    []path.Class // not looked at
	reached bool
	events  bool           // what changes by itself decided
	first   []*host.Effect // other redirects that took packets
	ends    string         // what became of some that no redirect took
}

// Of follows the packets of every rule's row and says in the rows which of
// them act. The rows are those of the world's namespace.
func Of(w path.World, rows []host.Redirect) *Map {
	m := &Map{engine: path.NewExplorer(w), world: w, rows: rows, found: make([]found, len(rows)), by: map[*host.Effect][]int{}, acted: map[*host.Effect]bool{}}
	for i := range rows {
		if e := rows[i].Effect; e != nil {
			m.by[e] = append(m.by[e], i)
			m.loose = m.loose || e.Kind == "rewrite" && !e.Source
		}
	}
	m.cells = min(max(allCells/(1+len(m.by)), leastCells), mostCells)
	m.follow()
	m.judge()
	return m
}

// follow explores all rows, several at a time.
func (m *Map) follow() {
	workers := min(runtime.GOMAXPROCS(0), 1+len(m.rows)/64)
	acted := make([]map[*host.Effect]bool, workers)
	var wait sync.WaitGroup
	for w := range workers {
		wait.Go(func() {
			from, to := len(m.rows)*w/workers, len(m.rows)*(w+1)/workers
			x := m.explorer(to - from)
			x.acted, x.seen = map[*host.Effect]bool{}, map[boxKey]*box{}
			for i := from; i < to; i++ {
				if followed(&m.rows[i]) {
					m.found[i] = x.row(&m.rows[i])
				}
			}
			acted[w] = x.acted
		})
	}
	wait.Wait()
	for _, some := range acted {
		for e := range some {
			m.acted[e] = true
		}
	}
}

// followed says whether packets of the row are followed: those of a rule that
// may act and that packets of other hosts come to.
func followed(r *host.Redirect) bool {
	if r.Effect == nil || r.Info || r.Match == nil || r.Rule == nil {
		return false
	}
	switch r.Rule.Family {
	case host.IP, host.IP6, host.Inet, host.Netdev:
		return r.State == host.Active || r.State == host.Unknown
	}
	return false
}

// explorer is one of several that work on a map.
type explorer struct {
	*path.Explorer
	*Map
	purse
	acted map[*host.Effect]bool
	seen  map[boxKey]*box

	// Of proofs: protocols that stand for all, and whether ipsets are looked at,
	// whose entries come and go without an editor's hand.
	protos []host.Proto
	events bool
}

func (x *explorer) row(r *host.Redirect) found {
	var f found
	x.next()
	for _, c := range x.boxes(r, x.Present(), portProtos) {
		if c.To.Any() { // packets to the loopback come from outside by malice only, and no line is about them
			c.To = host.NotAddrs(loopback(c.Family))
		}
		f.take(r, x.box(c))
	}
	f.parts = merged(f.parts)
	return f
}

// box is what became of the packets of a class.
type box struct {
	parts  []part // that a redirect takes: the first of those taken decides whose they are
	rest   []path.Class
	acted  []*host.Effect
	events bool
	ends   string
}

// box parts a class. Rows of one balancer have the same one: it is parted once.
func (x *explorer) box(c path.Class) *box {
	key, short := keyOf(&c)
	if known := x.seen[key]; short && known != nil {
		return known
	}
	b := &box{}
	b.rest = x.explore(c, path.Asked{Brief: true}, func(cell *path.Cell) bool {
		b.add(x, cell)
		return true
	})
	for _, e := range b.acted {
		x.acted[e] = true
	}
	if short && len(b.acted) > 1 {
		x.seen[key] = b
	}
	return b
}

func (b *box) add(x *explorer, c *path.Cell) {
	b.events = b.events || c.Events
	for _, e := range c.Acted {
		if !slices.Contains(b.acted, e) {
			b.acted = append(b.acted, e)
		}
	}
	for i := range c.Ways {
		if b.ends == "" && len(x.deciding(c.Ways[i].Taken)) == 0 {
			b.ends = c.Ways[i].Reason
		}
	}
	b.parts = append(b.parts, x.partsOf(c)...)
}

// take adds what became of one of the row's boxes.
func (f *found) take(r *host.Redirect, b *box) {
	f.rest = append(f.rest, b.rest...)
	f.events = f.events || b.events
	f.reached = f.reached || slices.Contains(b.acted, r.Effect)
	if f.ends == "" {
		f.ends = b.ends
	}
	for i := range b.parts {
		switch first := b.parts[i].taken[0]; {
		case first == r.Effect:
			f.parts = append(f.parts, b.parts[i])
		case !slices.Contains(f.first, first):
			f.first = append(f.first, first)
		}
	}
}

// deciding leaves the effects that say who answers: not those that copy.
func (m *Map) deciding(taken []*host.Effect) []*host.Effect {
	for i, e := range taken {
		if e.Kind == "dup" {
			return append(slices.Clone(taken[:i]), m.deciding(taken[i+1:])...)
		}
	}
	return taken
}

// boxKey is a box of which each side is one range at most.
type boxKey struct {
	proto         host.Proto
	family        host.Family
	in            path.Arrivals
	from, to      host.Range[addr]
	ports, sports host.Range[host.Port]
	any           [4]bool
}
