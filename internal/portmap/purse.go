package portmap

import "github.com/natwarden/natwarden/internal/path"

// What an explorer may spend, in tests (path.Explorer.Tests): allTests together,
// but at least leastTests for each thing it looks at. So the map of a namespace
// takes about a second more than reading its rules did, however they are laid out;
// else redirects behind a long list of blocked sources would cost minutes.
const (
	allTests   = 8_000_000
	leastTests = 800
)

// purse is what an explorer may spend. What one thing leaves the next ones may
// spend; where nothing is left, each gets a look at its first cell, and beyond
// twice of all of it none.
type purse struct {
	share, saved, all int
}

func newPurse(things int) purse {
	share := max(allTests/max(things, 1), leastTests)
	all := share * max(things, 1)
	return purse{share: share, saved: all / 8, all: all} // the first ones may be the dear ones
}

// explorer makes one that is to look at a number of things.
func (m *Map) explorer(things int) *explorer {
	return &explorer{Explorer: m.engine.Explorer(), Map: m, purse: newPurse(things)}
}

// next is called before each of the things.
func (p *purse) next() { p.saved += p.share }

// explore parts a class into cells as far as there is something to spend for it.
func (x *explorer) explore(c path.Class, a path.Asked, call func(*path.Cell) bool) []path.Class {
	cells := x.Map.cells
	if x.Tests > 2*x.all {
		cells = 0
	}
	return x.Explore(c, a, cells, func(cell *path.Cell) bool { return call(cell) && x.Tests < x.saved })
}
