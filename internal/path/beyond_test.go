package path_test

import (
	"net/netip"
	"testing"

	"github.com/natwarden/natwarden/internal/host"
	"github.com/natwarden/natwarden/internal/path"
)

// beyond gives the space that is reached by out0, as the other end of a cable.
func beyond(next path.World) func(path.Hop) (path.Place, bool) {
	return func(h path.Hop) (path.Place, bool) {
		return path.Place{World: next, In: "eth0"}, h.Out == "out0" && h.To == netip.MustParseAddr("10.2.0.2")
	}
}

func container(tables ...*host.Table) path.World {
	w := path.World{Netns: "web", Routes: everything{}, Sockets: true, Space: &host.Space{Tables: tables,
		Listeners: []host.Listener{{Proto: "tcp", Address: "0.0.0.0", Port: 8080}}}}
	w.Space.NoteTracking()
	return w
}

// everything takes every packet for its own.
type everything struct{ routes }

func (everything) Route(host.RouteQuery) host.Route { return host.Route{Kind: host.RouteLocal} }

func (everything) TypeOf(netip.Addr) (uint32, bool) { return 2, true }

func TestOnIntoAnotherNamespace(t *testing.T) {
	all := host.Match{}
	to := func(m host.Match, dst string) *host.Table {
		return table("t", chain("nat", "prerouting", -100, "accept", dnat(m, dst)))
	}
	anybody := packet(80)
	anybody.From = netip.Addr{}
	masquerade := table("m", chain("nat", "postrouting", 100, "accept", host.Branch{Verdict: host.Accept, Effects: []host.Effect{{Kind: "masquerade", Source: true}}}))
	from := source("10.5.0.0/16")
	for _, tt := range []struct {
		name   string
		packet path.Packet
		next   path.World
		tables []*host.Table
		want   string
	}{
		{name: "its listener answers", packet: packet(80), next: container(), tables: []*host.Table{to(all, "10.2.0.2:8080")}, want: "forwarded 10.2.0.2:8080 in web"},
		{name: "nobody listens there", packet: packet(80), next: container(), tables: []*host.Table{to(all, "10.2.0.2:81")}, want: "nobody refused in web"},
		{name: "another address", packet: packet(80), next: container(), tables: []*host.Table{to(all, "10.2.0.3:8080")}, want: "forwarded 10.2.0.3:8080"},
		{name: "its own rules", packet: packet(80), next: container(table("f", chain("filter", "input", 0, "drop"))), tables: []*host.Table{to(all, "10.2.0.2:8080")}, want: "nobody dropped in web"},
		{name: "the mark stays behind", packet: packet(80), next: container(table("f", chain("filter", "input", 0, "accept", verdict(host.Drop, ifMark(5))))),
			tables: []*host.Table{table("m", chain("filter", "prerouting", -150, "accept", setMark(all, host.Assign{Value: 5}))), to(all, "10.2.0.2:8080")}, want: "forwarded 10.2.0.2:8080 in web"},
		{name: "it is translated anew", packet: packet(80), next: container(to(all, "10.9.0.9:8080")), tables: []*host.Table{to(all, "10.2.0.2:80")}, want: "forwarded 10.9.0.9:8080 in web"},
		{name: "a sender that is not known is guessed once on the whole way", packet: anybody, next: container(table("f", chain("filter", "input", 0, "accept", verdict(host.Drop, from)))),
			tables: []*host.Table{to(from, "10.2.0.2:8080")}, want: "nobody dropped in web if from 10.5.0.0/16 | local 0.0.0.0:80 if not (from 10.5.0.0/16)"},
		{name: "unless it was translated", packet: anybody, next: container(table("f", chain("filter", "input", 0, "accept", verdict(host.Drop, from)))),
			tables: []*host.Table{masquerade, to(from, "10.2.0.2:8080")},
			want: "nobody dropped in web if from 10.5.0.0/16, from 10.5.0.0/16 after its source was translated" +
				" | forwarded 10.2.0.2:8080 in web if from 10.5.0.0/16, not (from 10.5.0.0/16 after its source was translated) | local 0.0.0.0:80 if not (from 10.5.0.0/16)"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got := follow(tt.packet, path.World{Beyond: beyond(tt.next)}, tt.tables...)
			if short(got) != tt.want {
				t.Errorf("got  %s\nwant %s", short(got), tt.want)
			}
		})
	}
}

// Two namespaces that send a packet to each other without end.
func TestNamespacesInACircle(t *testing.T) {
	w := path.World{Netns: "a", Routes: routes{}, Sockets: true, Space: &host.Space{}}
	w.Beyond = func(path.Hop) (path.Place, bool) { return path.Place{World: w, In: "eth0"}, true }
	got := path.Follow(w, path.Packet{Proto: host.TCP, From: netip.MustParseAddr("10.1.0.2"), To: netip.MustParseAddr("10.9.9.9"), Port: 80, In: "in0"})
	if len(got.Outcomes) != 1 || got.Outcomes[0].Kind != path.Unknown {
		t.Errorf("got %s", short(got))
	}
}
