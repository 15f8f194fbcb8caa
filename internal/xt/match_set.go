package xt

import (
	"slices"

	"github.com/natwarden/natwarden/internal/host"
	"github.com/natwarden/natwarden/internal/ipset"
)

// maxAlternatives bounds how many elements of a set with two or more
// dimensions are told apart; larger ones are a condition in words.
const maxAlternatives = 1024

// EmptySet is the text of host.Match.Waiting for an empty ipset, so that a
// caller who knows that packets fill the set can tell it from a dead end.
func EmptySet(name string) string { return host.EmptyIPSet(bareName(name)) }

// setUse is the use of an ipset in a rule: struct xt_set_info.
type setUse struct {
	index uint16
	dim   int
	flags uint8
}

func (d *data) setUse(off int) setUse {
	return setUse{d.u16(off), int(d.u8(off + 2)), d.u8(off + 3)}
}

// source says whether dimension i (from 0) looks at the packet's source.
func (u setUse) source(i int) bool { return u.flags>>(i+1)&1 == 1 }

// not says whether the match is inverted (IPSET_INV_MATCH).
func (u setUse) not() bool { return u.flags&1 != 0 }

func (u setUse) directions() string {
	text := ""
	for i := 0; i < u.dim; i++ {
		if i > 0 {
			text += ","
		}
		if u.source(i) {
			text += "src"
		} else {
			text += "dst"
		}
	}
	return text
}

// set finds the ipset, and the name by which to call it if it cannot be found.
func (d *data) set(u setUse) (s ipset.Set, name string, ok bool) {
	if d.env.Sets != nil {
		s, ok = d.env.Sets.ByIndex(u.index)
	}
	if !ok {
		return s, "index:" + num(u.index), false
	}
	return s, s.Name, true
}

// setMatch reads struct xt_set_info_match_v1 (r1, r2), _v3 and _v4. In r0 the
// kernel keeps the directions in another shape, which iptables stopped writing
// with Linux 2.6.39.
func setMatch(d *data) ([]host.Match, string) {
	u := d.setUse(0)
	if d.rev == 0 {
		u.dim, u.flags = int(d.u8(28)), d.u8(29)
	}
	if u.dim > 6 || d.rev > 4 {
		d.refuse()
		return nil, ""
	}
	s, name, ok := d.set(u)
	o := d.match().as(u.not(), "match-set", "", bareName(name)+" "+u.directions())
	d.setOptions(o, u)
	if !ok {
		m := host.Match{Conditions: []string{setWords(u, name) + " (not readable)"}}
		return o.with(m)
	}
	alts := contents{u: u, sets: d.env.Sets, fam: d.fam}.matches(&s)
	for i := range alts {
		if o.words.Len() > 0 {
			alts[i].Require(o.words.String())
		}
	}
	return alts, o.text.String()
}

// setOptions writes what stands after --match-set. Counters and exceptions
// narrow what the set takes, in words.
func (d *data) setOptions(o *options, u setUse) {
	if d.rev < 3 {
		o.flag(u.flags&0x80 != 0, "return-nomatch")
		return
	}
	flags := d.u32(40)
	o.flag(flags&(1<<7) != 0, "return-nomatch")
	if flags&(1<<3) != 0 {
		o.as(true, "update-counters", "", "")
	}
	if flags&(1<<4) != 0 {
		o.as(true, "update-subcounters", "", "")
	}
	d.setCounter(o, 8, "packets")
	d.setCounter(o, 24, "bytes")
}

// setCounter reads struct ip_set_counter_match0 (r3: the operator first) or
// ip_set_counter_match.
func (d *data) setCounter(o *options, off int, name string) {
	op, value := d.u8(off+8), d.u64(off)
	if d.rev == 3 {
		op, value = d.u8(off), d.u64(off+8)
	}
	switch op {
	case 1, 2:
		o.add(op == 2, name+"-eq", num(value))
	case 3:
		o.add(false, name+"-lt", num(value))
	case 4:
		o.add(false, name+"-gt", num(value))
	}
}

func setWords(u setUse, name string) string {
	if u.not() {
		return u.directions() + " not in ipset " + bareName(name)
	}
	return u.directions() + " in ipset " + bareName(name)
}

// contents turns what stands in a set into matches.
type contents struct {
	u     setUse
	sets  Sets
	fam   host.Family
	depth int

	markMask uint32
}

func (c contents) matches(s *ipset.Set) []host.Match {
	words := setWords(c.u, s.Name)
	if s.Timeouts {
		words += " (entries expire)"
	}
	dims := s.Dims()
	switch {
	case s.Unread != "":
		return []host.Match{{Conditions: []string{words + " (" + s.Unread + ")"}}}
	case c.u.dim < len(dims): // the kernel answers no: ip_set_test
		return c.never("ipset " + bareName(s.Name) + " wants " + num(uint8(len(dims))) + " directions, the rule gives " + num(uint8(c.u.dim)))
	case s.Family != "" && s.Family != c.fam:
		return c.never("ipset " + bareName(s.Name) + " holds addresses of the other family")
	case len(s.Elements) == 0:
		return c.empty(s.Name)
	case dims[0] == "set":
		return c.members(s, words)
	case len(dims) == 1 && dims[0] != "mac":
		return []host.Match{c.oneDimension(s, dims[0], words)}
	}
	return c.elements(s, dims, words)
}

// never is a match that no packet fits, or, inverted, every one.
func (c contents) never(why string) []host.Match {
	if c.u.not() {
		return nil
	}
	return []host.Match{{Dead: why}}
}

func (c contents) empty(name string) []host.Match {
	if c.u.not() {
		return []host.Match{{Conditions: []string{setWords(c.u, name)}}}
	}
	return []host.Match{{Waiting: EmptySet(name), Conditions: []string{setWords(c.u, name)}}}
}

// members joins what the sets of a list:set take.
func (c contents) members(s *ipset.Set, words string) []host.Match {
	var all []host.Match
	if c.u.not() || c.depth > 1 {
		return []host.Match{{Conditions: []string{words}}}
	}
	for _, e := range s.Elements {
		member, ok := c.byName(e.Member)
		if !ok {
			return []host.Match{{Conditions: []string{words}}}
		}
		inner := c
		inner.depth++
		for _, m := range inner.matches(&member) {
			if m.Dead != "" {
				continue
			}
			m.Require(words)
			if !s.Timeouts {
				m.Tests = append(m.Tests[:len(m.Tests):len(m.Tests)], stated(words)...)
			}
			all = append(all, m)
		}
	}
	switch {
	case len(all) > maxAlternatives:
		return []host.Match{{Conditions: []string{words}}}
	case len(all) == 0:
		return []host.Match{{Waiting: EmptySet(s.Name), Conditions: []string{words}}}
	}
	return all
}

func (c contents) byName(name string) (ipset.Set, bool) {
	if named, ok := c.sets.(interface {
		ByName(string) (ipset.Set, bool)
	}); ok {
		return named.ByName(name)
	}
	return ipset.Set{}, false
}

// oneDimension joins the elements into one set of addresses, ports or
// interfaces.
func (c contents) oneDimension(s *ipset.Set, dim, words string) host.Match {
	m := host.Match{Conditions: []string{words}, Lists: []string{bareName(s.Name)}}
	if !s.Timeouts && (dim == "ip" || dim == "net" || dim == "port" && !c.u.not()) {
		m.Tests = stated(words)
	}
	source := c.u.source(0)
	switch dim {
	case "ip", "net":
		set := s.Addrs()
		if c.u.not() {
			set = host.NotAddrs(set)
		}
		if source {
			m.Source = set
		} else {
			m.Address = set
		}
	case "port": // ip_set_getport.c: of TCP and UDP only
		set := s.Ports()
		if c.u.not() {
			set = host.NotPorts(set)
		} else {
			m.Protos = host.ProtosOf(host.TCP, host.UDP)
		}
		if source {
			m.SPorts = set
		} else {
			m.Ports = set
		}
	}
	return m
}

// stated says of words that the sets beside them say the same.
func stated(words string) []host.Test { return []host.Test{{Words: words, Field: host.FieldStated}} }

// elements gives an alternative for each element.
func (c contents) elements(s *ipset.Set, dims []string, words string) []host.Match {
	exceptions := slices.ContainsFunc(s.Elements, func(e ipset.Element) bool { return e.NoMatch })
	if c.u.not() || exceptions || len(s.Elements) > maxAlternatives {
		return []host.Match{{Conditions: []string{words + " (" + num(uint64(len(s.Elements))) + " elements)"}}}
	}
	all := make([]host.Match, 0, len(s.Elements))
	if c.markMask = s.MarkMask; c.markMask == 0 {
		c.markMask = 0xffffffff
	}
	for i := range s.Elements {
		m := host.Match{Conditions: []string{words}, Lists: []string{bareName(s.Name)}}
		if !s.Timeouts {
			m.Tests = stated(words)
		}
		first := true
		for n, dim := range dims {
			o := c.dimension(&s.Elements[i], dim, c.u.source(n), first)
			m.Narrow(&o)
			first = first && dim != "ip" && dim != "net"
		}
		all = append(all, m)
	}
	return all
}

// dimension gives what one dimension of an element takes; first is true for
// the first address of it.
func (c contents) dimension(e *ipset.Element, dim string, source, first bool) (m host.Match) {
	switch dim {
	case "ip", "net":
		set := host.AddrRange(e.Lo, e.Hi)
		if !first {
			set = host.AddrRange(e.Lo2, e.Hi2)
		}
		if source {
			m.Source = set
		} else {
			m.Address = set
		}
	case "port":
		return portDimension(e, source)
	case "mac":
		m.Require(macWords(e, source))
	case "mark":
		m.Expect(host.Test{Words: "mark " + hex(e.Mark) + "/" + hex(c.markMask), Field: host.FieldMark, Mask: c.markMask,
			Spans: []host.Span{{Lo: e.Mark, Hi: e.Mark}}})
	case "iface":
		return ifaceDimension(e, source)
	default:
		m.Require("with " + quote(dim) + " of the element")
	}
	return m
}

// macWords: an element of a bitmap:ip,mac without a MAC takes the first one that
// comes along.
func macWords(e *ipset.Element, source bool) string {
	if !e.HasMAC {
		return side(source) + "-mac as first seen (filled by packets)"
	}
	return side(source) + "-mac " + mac(e.MAC[:])
}

func portDimension(e *ipset.Element, source bool) (m host.Match) {
	if e.Proto == 0 {
		m.Require("port " + num(e.PortLo) + " of an unknown protocol")
		return m
	}
	m.Protos = host.ProtosOf(e.Proto)
	switch {
	case e.Proto == host.ICMP || e.Proto == host.ICMPv6:
		m.Require("icmp type/code " + num(e.PortLo>>8) + "/" + num(e.PortLo&255))
	case !e.Proto.HasPorts() || e.Proto == host.DCCP: // ip_set_getport.c: port 0 stands for every packet
	case source:
		m.SPorts = host.PortsOf(e.PortLo, e.PortHi)
	default:
		m.Ports = host.PortsOf(e.PortLo, e.PortHi)
	}
	return m
}

func ifaceDimension(e *ipset.Element, source bool) (m host.Match) {
	name := e.Iface
	if e.Wildcard {
		name += "*"
	}
	switch {
	case e.Physdev:
		m.Require("bridge port " + side(source) + " " + bareName(name))
	case source:
		m.In = host.Ifaces{Names: []string{name}}
	default:
		m.Out = host.Ifaces{Names: []string{name}}
	}
	return m
}

func side(source bool) string {
	if source {
		return "src"
	}
	return "dst"
}
