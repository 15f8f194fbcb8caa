package path

import (
	"slices"

	"github.com/natwarden/natwarden/internal/host"
)

// deepest bounds how many interfaces stand on each other.
const deepest = 8

// before says of an interface which rules, that are not followed, a packet
// passes before those of the interface itself: of the bridge, or at an interface
// below (a port, the carrier of a VLAN); or that a VRF is above, by which it comes
// a second time (vrf_l3_rcv). "" where there are none.
func (e *Engine) before(i host.Iface, depth int) string {
	if depth == 0 && i.Master != 0 {
		for _, m := range e.world.Space.Ifaces {
			if m.Index == i.Master && m.Kind == "vrf" {
				return "the VRF " + m.Name + " makes a difference"
			}
		}
	}
	if i.Kind == "bridge" && e.bridged {
		return "a rule of the bridge takes it"
	}
	for _, lower := range e.world.Space.Ifaces {
		if !below(lower, i) || depth == deepest {
			continue
		}
		if slices.ContainsFunc(e.bases, func(b *base) bool { return b.chain.Base.Hook == "ingress" && onDevice(b.chain.Base, lower.Name) }) {
			return "a rule at " + lower.Name + ", below " + i.Name + ", takes it"
		}
		if words := e.before(lower, depth+1); words != "" {
			return words
		}
	}
	return ""
}

// below says whether packets that come by an interface come by a lower one first.
func below(lower, upper host.Iface) bool {
	switch {
	case lower.Master != 0 && lower.Master == upper.Index:
		return true
	case upper.Other == 0 || upper.Other != lower.Index || upper.OtherNetns >= 0:
		return false
	}
	return slices.Contains([]string{"vlan", "macvlan", "macvtap", "ipvlan", "ipvtap", "macsec"}, upper.Kind)
}

// beforehand is before for the interface by which the packet comes.
func (k *walker) beforehand() string {
	if len(k.lower) == 0 {
		return ""
	}
	k.cutIn(func(i *ifkind) bool { return i.before == k.lower[k.packet.In] })
	return k.lower[k.packet.In]
}
