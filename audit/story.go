package audit

import (
	"fmt"
	"net/netip"
	"slices"

	"github.com/natwarden/natwarden/internal/host"
)

// story is one namespace's rows while they are joined: mechanisms that work
// together are one redirect, the row of the rule that translates, with the
// chain of evidence. It runs before anything is judged.
type story struct {
	space   *host.Space
	rows    []host.Redirect
	markers []marker
	// exact is true where every rule that sets a mark sets it whole, so that a
	// mark is what the last rule set and nothing mixed.
	exact bool
	cache map[asked][]marker // what setters found
	// unheard is a source that may hold what sets marks and was not read; "" for none.
	unheard string
	// relays and tproxies are the places of those rows.
	relays, tproxies []int
}

type asked struct {
	field host.Field
	want  host.Selector
}

// tellStory joins the rows of one namespace. unheard is a source that was not read.
func tellStory(rows []host.Redirect, space *host.Space, unheard string) {
	s := &story{space: space, rows: rows, unheard: unheard, cache: map[asked][]marker{}}
	s.markers, s.exact = markersOf(space)
	for i := range rows {
		switch {
		case rows[i].Mechanism == "relay" && rows[i].Process != nil:
			s.relays = append(s.relays, i)
		case rows[i].Kind == "tproxy" && rows[i].Mechanism == "rule" && rows[i].Match != nil:
			s.tproxies = append(s.tproxies, i)
		}
	}
	for i := range rows {
		r := &rows[i]
		if r.Mechanism != "rule" && r.Mechanism != "ipvs" || r.Info {
			continue
		}
		s.nameMarkers(r)
		if r.Mechanism == "ipvs" {
			continue
		}
		if r.Kind == "tproxy" {
			s.deliver(r)
		}
		s.nameRelay(r)
		s.prove(r)
	}
	s.localRoutes()
}

// nameRelay says where the process at a rule's local destination leads to.
func (s *story) nameRelay(r *host.Redirect) {
	if len(s.relays) == 0 {
		return
	}
	for _, t := range r.Targets {
		l := listenerAt(s.space, r.Match, t)
		if l == nil {
			continue
		}
		for _, i := range s.relays {
			if x := &s.rows[i]; x.Match.Ports.Has(host.Port(l.Port)) && holds(l, x.Process.PID) {
				leadsOn(r, x)
			}
		}
	}
}

func holds(l *host.Listener, pid int) bool {
	return slices.ContainsFunc(l.Processes, func(p host.Process) bool { return p.PID == pid })
}

func leadsOn(r, relay *host.Redirect) {
	p := relay.Process
	to := "where it leads to is not known"
	if len(relay.To) > 0 {
		to = "passes on to " + listed(relay.To)
	}
	r.Evidence = appendOnce(r.Evidence, fmt.Sprintf("%s (pid %d) %s: see %s", p.Name, p.PID, to, relay.ID))
	relay.Evidence = appendOnce(relay.Evidence, "a rule hands packets to it: see "+r.ID)
}

// listed writes at most three of the words.
func listed(words []string) string {
	text := ""
	for i, w := range words {
		switch {
		case i == 3:
			return fmt.Sprintf("%s and %d more", text, len(words)-3)
		case i > 0:
			text += ", "
		}
		text += w
	}
	return text
}

// tellHops names, at a rule that sends on what another namespace of the
// report was sent, the row that sends it there: two rows, each judged by its
// own hop.
func tellHops(rows []host.Redirect, spaces []*host.Space) {
	if len(spaces) < 2 {
		return
	}
	addrs, by := addressBook(spaces), map[string][]*host.Redirect{}
	for i := range rows {
		if translates(&rows[i]) {
			by[rows[i].Netns] = append(by[rows[i].Netns], &rows[i])
		}
	}
	for i := range rows {
		if first := &rows[i]; translates(first) {
			for _, t := range first.Targets {
				tellNext(by, first, t, addrs)
			}
		}
	}
}

// mostEvidence is how many lines a row may gather: a hostile namespace must
// not fill another one's rows.
const mostEvidence = 32

// addressBook says in which namespaces an address is the own one.
func addressBook(spaces []*host.Space) map[netip.Addr][]string {
	book := map[netip.Addr][]string{}
	for _, s := range spaces {
		for _, text := range s.Addrs {
			if a, err := netip.ParseAddr(text); err == nil && !a.IsLoopback() && !a.IsLinkLocalUnicast() {
				book[a] = append(book[a], s.Netns)
			}
		}
	}
	return book
}

func translates(r *host.Redirect) bool {
	return r.Mechanism == "rule" && !r.Info && r.State != host.Inactive && r.Match != nil &&
		slices.Contains([]string{"dnat", "redirect", "netmap", "rewrite", "tproxy"}, r.Kind)
}

func tellNext(by map[string][]*host.Redirect, first *host.Redirect, t host.Target, book map[netip.Addr][]string) {
	if !t.Lo.IsValid() || t.Lo != t.Hi {
		return
	}
	for _, netns := range book[t.Lo] {
		if netns == first.Netns {
			continue
		}
		for _, next := range by[netns] {
			if len(next.Evidence) < mostEvidence && takesTarget(next.Match, first.Match, t) {
				next.Evidence = appendOnce(next.Evidence, fmt.Sprintf("%s in %s sends %s here: see %s",
					first.Kind, place(first.Netns), t, first.ID))
			}
		}
	}
}

func place(netns string) string {
	if netns == "" {
		return "the namespace in which natwarden was started"
	}
	return "network namespace " + netns
}

// takesTarget says whether a rule takes what another one sends to the target.
func takesTarget(next, first *host.Match, t host.Target) bool {
	if !next.Address.Has(t.Lo) || next.Protos.Intersect(first.Protos).Empty() {
		return false
	}
	ports := first.Ports
	if t.PortLo != 0 {
		ports = host.PortsOf(t.PortLo, max(t.PortLo, t.PortHi))
	}
	return !next.Ports.Intersect(ports).Empty()
}
