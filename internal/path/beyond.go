package path

import (
	"net/netip"
	"strings"
)

// Hop is how a packet leaves a namespace for another machine, or another
// namespace of this one.
type Hop struct {
	Out string     // interface
	To  netip.Addr // next hop
}

// Place is where such a packet comes in.
type Place struct {
	World World
	In    string // interface
}

const (
	// maxHops bounds the namespaces on one way.
	maxHops = 16
	// maxCrossings bounds the changes of namespace on all ways together.
	maxCrossings = 256
)

// onward follows a packet that leaves into the namespace that it comes to. It
// is false where that is not known: then the packet is gone.
func (k *walker) onward(s state) bool {
	if k.world.Beyond == nil {
		return false
	}
	to := s.via
	if !to.IsValid() {
		to = s.dst
	}
	at, known := k.world.Beyond(Hop{s.out, to})
	if !known {
		return false
	}
	if *k.crossings++; k.hops == maxHops || *k.crossings > maxCrossings {
		k.unknown(s, "it goes through too many network namespaces to follow it")
		return true
	}
	next := NewEngine(at.World).walker(Packet{Proto: k.packet.Proto, From: s.src, SPort: s.sport, To: s.dst, Port: s.dport, In: at.In, Via: k.sender(&s)})
	next.hops, next.crossings = k.hops+1, k.crossings
	next.enter(next.arrival(s))
	k.outcomes = append(k.outcomes, next.outcomes...)
	return true
}

// arrival is the packet as it comes in: without mark and connection, which do
// not leave a namespace (skb_scrub_packet), and with what was guessed of it.
func (k *walker) arrival(s state) state {
	in := k.start()
	in.masked, in.guesses, in.steps = s.masked, s.guesses, s.steps
	in.note(Step{Netns: k.world.Netns, Hook: Link, Effect: "comes to " + k.world.where() + " by " + k.packet.In})
	return in
}

// sender stands for the source in the routing decisions of the next namespace
// where it is not known.
func (k *walker) sender(s *state) netip.Addr {
	if k.world.Routes != nil {
		if own := k.world.Routes.First(s.out, s.dst); own.IsValid() {
			return own
		}
	}
	return k.packet.Via
}

func (w *World) where() string {
	if w.Netns == "" {
		return "the network namespace in which natwarden was started"
	}
	return "network namespace " + w.Netns
}

// abroad tells an outcome in another namespace than the one that was asked
// about: the packet was sent on, and what answers is there.
func (k *walker) abroad(s *state, o *Outcome) {
	o.Netns = k.world.Netns
	if k.hops == 0 {
		return
	}
	if o.Kind == Local {
		o.Reason = strings.Replace(o.Reason, " of this host", "", 1)
		o.Kind, o.AnsweredBy, o.Out = Forwarded, netip.AddrPortFrom(s.dst, s.dport).String(), s.in
	}
	o.Reason += ", in " + k.world.where()
}
