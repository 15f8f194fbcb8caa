package path

import (
	"net/netip"

	"github.com/natwarden/natwarden/internal/host"
)

// senders is a host.Router that knows from which networks packets are routed by
// policy rules of their own.
type senders interface {
	Senders() []netip.Prefix
}

// bySender follows the packets of senders that policy rules lead another way
// than those that stand for any sender, and gives the rest.
func (k *walker) bySender(s state, r host.Route) state {
	known, ok := k.world.Routes.(senders)
	if !ok {
		return s
	}
	for _, p := range known.Senders() {
		from := k.senderOf(p)
		words := "from " + p.String()
		if p.Addr().Is4() != s.dst.Is4() || !from.IsValid() || s.guessed(negated(words)) {
			continue
		}
		with := s
		with.src = from
		other := k.ask(&with)
		if other == r {
			continue
		}
		if !s.guessed(words) {
			k.routed(s.guessing(words), other)
			s = s.guessing(negated(words))
		}
	}
	return s
}

// maxOwn bounds how many addresses at the beginning of a network are tried.
const maxOwn = 8

// senderOf is an address of a network that is none of the namespace's own, such
// as packets from outside have.
func (k *walker) senderOf(p netip.Prefix) netip.Addr {
	a := p.Masked().Addr()
	for range maxOwn {
		if a = a.Next(); !p.Contains(a) {
			a = p.Masked().Addr() // a single address
		}
		if kind, _ := k.world.Routes.TypeOf(a); kind != typeLocal && kind != typeBroadcast && kind != typeMulticast {
			return a
		}
	}
	return netip.Addr{}
}
