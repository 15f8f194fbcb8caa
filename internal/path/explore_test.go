package path_test

import (
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/natwarden/natwarden/internal/host"
	"github.com/natwarden/natwarden/internal/path"
)

// TestCellsSayWhatEachOfTheirPacketsDoes parts all packets that may come to random
// hosts into cells, and holds what is said of a cell against the way of single packets of it.
func TestCellsSayWhatEachOfTheirPacketsDoes(t *testing.T) {
	hosts, seed := number(t, "NATWARDEN_CELL_HOSTS", 10), number(t, "NATWARDEN_SEED", 1)
	l := newDiffLab(t)
	var sum cellTally
	for n := range hosts {
		s := generate(uint64(seed + n))
		if !l.load(t, s) {
			continue
		}
		done := l.listen(t, s.listeners)
		w, closeIt, err := l.world(t)
		if err != nil {
			t.Fatal(err)
		}
		holdCells(t, s, w, &sum)
		closeIt()
		done()
	}
	t.Logf("%d hosts, %d cells: %d packets were in one, %d in what was left over, %d are not taken by the kernel; %d wrong", sum.hosts, sum.cells, sum.right, sum.rest, sum.refused, sum.wrong)
	if sum.right < 100*hosts {
		t.Errorf("too few packets were compared")
	}
}

type cellTally struct{ hosts, cells, right, rest, refused, wrong int }

const mostCells = 500

func holdCells(t *testing.T, s *scenario, w path.World, sum *cellTally) {
	sum.hosts++
	e := path.NewExplorer(w)
	x := e.Explorer()
	r := rand.New(rand.NewPCG(s.seed, 7))
	for _, proto := range []host.Proto{host.TCP, host.UDP} {
		for _, family := range []host.Family{host.IP, host.IP6} {
			var cells []path.Cell
			c := path.Class{Proto: proto, Family: family, In: e.Present()}
			rest := x.Explore(c, path.Asked{}, mostCells, func(c *path.Cell) bool { cells = append(cells, *c); return true })
			sum.cells += len(cells)
			for range 60 {
				p := drawPacket(r, proto, family, cells)
				holdOne(t, s, x, cells, rest, p, sum)
			}
		}
	}
}

// drawPacket takes ends of cells, which is where they go wrong, and what probes take.
func drawPacket(r *rand.Rand, proto host.Proto, family host.Family, cells []path.Cell) path.Packet {
	p := path.Packet{Proto: proto, In: []string{"c0", "c1", "a0", "b0"}[r.IntN(4)]}
	draw := func() *path.Cell { return &cells[r.IntN(len(cells))] }
	p.To, p.From = drawAddr(r, family, draw().To, 1), drawAddr(r, family, draw().From, 0)
	p.Port, p.SPort = drawPort(r, draw().Ports), max(1, drawPort(r, draw().SPorts)) // 0 stands for any
	return p
}

func drawPort(r *rand.Rand, set host.Ports) uint16 {
	if set.Any() || r.IntN(4) == 0 {
		return []uint16{80, 81, 443, 9000, 2003, 40000}[r.IntN(6)]
	}
	one := set[r.IntN(len(set))]
	return uint16([]host.Port{one.Lo, one.Hi}[r.IntN(2)])
}

func drawAddr(r *rand.Rand, family host.Family, set host.Addrs, kind int) netip.Addr {
	usual := [2][]string{{"10.1.0.2", "10.1.0.3", "10.4.0.2", "10.2.0.2"}, {"10.1.0.1", "10.1.0.10", "10.4.0.1", "10.9.0.5", "10.3.0.2"}}
	if family == host.IP6 {
		usual = [2][]string{{"fd01::2", "fd01::3", "fd04::2", "fd03::2"}, {"fd01::1", "fd01::10", "fd02::2", "fd09::5", "fd04::1"}}
	}
	if set.Any() || r.IntN(2) == 0 {
		return netip.MustParseAddr(usual[kind][r.IntN(len(usual[kind]))])
	}
	one := set[r.IntN(len(set))]
	return []netip.Addr{one.Lo, one.Hi}[r.IntN(2)]
}

func holdOne(t *testing.T, s *scenario, x *path.Explorer, cells []path.Cell, rest []path.Class, p path.Packet, sum *cellTally) {
	in := x.Arrival(p.In)
	var mine []*path.Cell
	for i := range cells {
		if cells[i].Has(&p, in) {
			mine = append(mine, &cells[i])
		}
	}
	left := slices.ContainsFunc(rest, func(c path.Class) bool { return c.Has(&p, in) })
	if len(mine) > 1 || len(mine) == 1 == left {
		t.Fatalf("%d cells hold %+v, and what is left over: %v", len(mine), p, left)
	}
	if left {
		sum.rest++
		return
	}
	if !x.Takes(&p) {
		sum.refused++
		return
	}
	want := sayings(x.Follow(p).Outcomes, func(o *path.Outcome) string { return o.AnsweredBy })
	var got []string
	for i := range mine[0].Ways {
		way := &mine[0].Ways[i]
		got = append(got, saying(&way.Outcome, x.AnsweredBy(mine[0], way, &p)))
	}
	slices.Sort(got)
	if got = slices.Compact(got); !slices.Equal(got, want) {
		if sum.wrong++; sum.wrong <= 3 {
			t.Errorf("seed %d: %+v\nthe cell says %v\nthe packet    %v\ncell %s\nof %+v\n%s", s.seed, p, got, want, cellWords(x, mine[0]), mine[0].Packet, s)
		}
		return
	}
	sum.right++
}

func sayings(list []path.Outcome, by func(*path.Outcome) string) []string {
	var out []string
	for i := range list {
		out = append(out, saying(&list[i], by(&list[i])))
	}
	slices.Sort(out)
	return slices.Compact(out)
}

func saying(o *path.Outcome, by string) string {
	return strings.TrimSpace(o.Kind + " " + by + " " + o.Nobody + " " + o.Out)
}

func cellWords(x *path.Explorer, c *path.Cell) string {
	return "ports " + host.PortsString(c.Ports) + " to " + host.AddrsString(c.To) + " from " + host.AddrsString(c.From) + " port " + host.PortsString(c.SPorts) + " in " + strings.Join(x.Names(c.In), ",")
}
