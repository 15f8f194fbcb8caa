package host

import "slices"

// Family is a netfilter family of a table (ip, ip6, inet, bridge, netdev,
// arp), or the family of packets: ip, ip6, or both.
type Family string

// The families, as the tools write them.
const (
	IP     Family = "ip"
	IP6    Family = "ip6"
	Inet   Family = "inet"
	Bridge Family = "bridge"
	Netdev Family = "netdev"
	ARP    Family = "arp"
	Both   Family = "both"
)

// Ifaces is a condition on an interface name. The zero value is any. Names
// may end in "*" (any continuation).
type Ifaces struct {
	Names []string
	Not   bool // none of Names
}

// Any says whether every interface fits.
func (i Ifaces) Any() bool { return len(i.Names) == 0 }

// Match is the packets that a rule, or one element of its set or map, takes.
// The zero value takes all of them (of both families: Family "" is Both).
// What is not understood stands in Conditions and only ever narrows.
type Match struct {
	Family  Family // of the packets: IP, IP6, Both or ""
	Protos  Protos
	Ports   Ports // destination ports
	SPorts  Ports // source ports
	Address Addrs // original destination
	Source  Addrs
	In, Out Ifaces
	// Conditions are further matches in words, in the language of the rule's
	// writer: "mark 0x20/0x20", "every 2nd packet", "source in set knock (filled by packets)".
	Conditions []string
	// Tests are those of Conditions that can be computed.
	Tests []Test
	// Dead says why the match can never be true until somebody edits the
	// rules: a constant empty set, contradicting matches, a date that is past.
	Dead string
	// Waiting says which event makes the match true: a named set or map that is
	// empty and that no rule fills, a date to come.
	Waiting string
	// Lists names the ipsets, as rules write them, of whose present entries the
	// sets of addresses and ports speak: others may come without a change of a rule.
	Lists []string
}

// IsWhole says whether the match takes every packet.
func (m *Match) IsWhole() bool {
	return (m.Family == "" || m.Family == Both) && m.Dead == "" && m.Waiting == "" && m.unrestricted()
}

func (m *Match) unrestricted() bool {
	return m.Protos.Any() && m.Ports.Any() && m.SPorts.Any() && m.Address.Any() && m.Source.Any() &&
		m.In.Any() && m.Out.Any() && len(m.Conditions) == 0
}

// Impossible says whether no packet can fit: two matches contradict.
func (m *Match) Impossible() bool {
	return m.Protos.Empty() || m.Ports.Empty() || m.SPorts.Empty() || m.Address.Empty() || m.Source.Empty() || m.Family == "none"
}

// Widen takes away the sets that hold nothing, so that what waits for other
// entries of an ipset is not taken for a rule about nothing.
func (m *Match) Widen() {
	if m.Protos.Empty() {
		m.Protos = nil
	}
	if m.Ports.Empty() {
		m.Ports = nil
	}
	if m.SPorts.Empty() {
		m.SPorts = nil
	}
	if m.Address.Empty() {
		m.Address = nil
	}
	if m.Source.Empty() {
		m.Source = nil
	}
}

// Narrow restricts the match to what o takes as well.
func (m *Match) Narrow(o *Match) {
	m.Family = meet(m.Family, o.Family)
	m.Protos = m.Protos.Intersect(o.Protos)
	m.Ports = m.Ports.Intersect(o.Ports)
	m.SPorts = m.SPorts.Intersect(o.SPorts)
	m.Address = m.Address.Intersect(o.Address)
	m.Source = m.Source.Intersect(o.Source)
	m.narrowIfaces(o)
	for _, c := range o.Conditions {
		m.Require(c)
	}
	if len(o.Tests) > 0 {
		m.Tests = append(m.Tests[:len(m.Tests):len(m.Tests)], o.Tests...)
	}
	for _, list := range o.Lists {
		if !slices.Contains(m.Lists, list) {
			m.Lists = append(m.Lists[:len(m.Lists):len(m.Lists)], list)
		}
	}
	m.Dead = first(m.Dead, o.Dead)
	m.Waiting = first(m.Waiting, o.Waiting)
}

// Require adds a condition in words, once.
func (m *Match) Require(condition string) {
	if !slices.Contains(m.Conditions, condition) {
		m.Conditions = append(m.Conditions[:len(m.Conditions):len(m.Conditions)], condition)
	}
}

func (m *Match) narrowIfaces(o *Match) {
	m.In = m.meetIfaces(m.In, o.In, "in ", FieldIn)
	m.Out = m.meetIfaces(m.Out, o.Out, "out ", FieldOut)
}

// meetIfaces keeps the first condition as it is and carries a second,
// different one in words: names with wildcards are not intersected here.
func (m *Match) meetIfaces(a, b Ifaces, word string, field Field) Ifaces {
	switch {
	case a.Any():
		return b
	case b.Any() || a.Not == b.Not && slices.Equal(a.Names, b.Names):
		return a
	}
	m.Expect(Test{Words: word + b.String(), Field: field, Ifaces: b})
	return a
}

// String writes the condition: "eth0", "not eth0", "eth0 or eth1".
func (i Ifaces) String() string {
	text := ""
	for n, name := range i.Names {
		if n > 0 {
			text += " or "
		}
		text += name
	}
	if i.Not {
		return "not " + text
	}
	return text
}

func meet(a, b Family) Family {
	switch {
	case a == "" || a == Both:
		return b
	case b == "" || b == Both || a == b:
		return a
	}
	return "none"
}

func first(a, b string) string {
	if a != "" {
		return a
	}
	return b
}

// Covers says whether every packet that o takes is surely taken by m: its sets
// contain those of o, and each of m's conditions stands in o as well.
func (m *Match) Covers(o *Match) bool {
	return m.Dead == "" && m.Waiting == "" &&
		(m.Family == "" || m.Family == Both || m.Family == o.Family) &&
		m.Protos.Contains(o.Protos) && m.Ports.Contains(o.Ports) && m.SPorts.Contains(o.SPorts) &&
		m.Address.Contains(o.Address) && m.Source.Contains(o.Source) &&
		m.In.covers(o.In) && m.Out.covers(o.Out) && subset(m.Conditions, o.Conditions)
}

func (i Ifaces) covers(o Ifaces) bool {
	return i.Any() || i.Not == o.Not && slices.Equal(i.Names, o.Names)
}

func subset(small, big []string) bool {
	for _, s := range small {
		if !slices.Contains(big, s) {
			return false
		}
	}
	return true
}

// EmptyIPSet is the text of Match.Waiting for an empty ipset, so that a rule
// elsewhere that fills the set can be found to answer it. name is as rules
// write it, escaped.
func EmptyIPSet(name string) string { return "ipset " + name + " is empty" }
