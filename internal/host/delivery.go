package host

import "slices"

// Delivery is a route that delivers packets for addresses that are not the
// host's own to this host, and the policy rules that lead packets to it.
type Delivery struct {
	Family      Family
	Route       string // in words: "local default dev lo table 100"
	Fingerprint string // of the Ref of the route's row
	Address     Addrs
	// Always is true where every packet is routed by the route's table.
	Always bool
	Rules  []Selector
}

// Selector is a policy rule (ip-rule(8)) that names the route's table.
type Selector struct {
	Words string // "100: from all fwmark 0x1 lookup 100"
	// Marked is true where only packets with (mark & Mask) == Mark get there.
	Marked     bool
	Mark, Mask uint32
}

// Picks says whether a packet with the mark may be led by the rule.
func (s Selector) Picks(mark uint32) bool { return !s.Marked || mark&s.Mask == s.Mark&s.Mask }

// NoteMarker says that something besides the rules of netfilter sets packet
// marks in the space, in words: a tc action, for one.
func (s *Space) NoteMarker(words string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.markers = append(s.markers, words)
}

// Marker names something besides rules that sets packet marks; "" for nothing.
func (s *Space) Marker() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.markers) == 0 {
		return ""
	}
	return slices.Min(s.markers)
}
