package path

import (
	"net/netip"

	"github.com/natwarden/natwarden/internal/host"
)

// Packet is the first packet of a flow that is asked about.
type Packet struct {
	Proto host.Proto
	From  netip.Addr // invalid: any
	SPort uint16     // 0: any
	To    netip.Addr
	Port  uint16
	In    string // interface of arrival; "" where it is not known, and of a packet of this host
	Own   bool   // this host itself sends it
	// Via is a source that stands for any in the routing decision where From is invalid.
	Via netip.Addr
}

// The kinds of outcomes, as the contract has them.
const (
	Forwarded = "forwarded"
	Local     = "local"
	Nobody    = "nobody"
	Unknown   = "unknown"
)

// Why nobody answers.
const (
	Dropped = "dropped"
	Refused = "refused"
	NoRoute = "no route"
)

// Outcome is one way in which it can end.
type Outcome struct {
	Certain    bool
	Condition  string // in words; "" where Certain
	Kind       string
	AnsweredBy string         // ADDR:PORT as the answerer sees it; "" for nobody and unknown
	Netns      string         // in which network namespace that is decided; "" where natwarden was started
	Listener   *host.Listener // of Local, and of Forwarded where the answerer is on this machine
	Out        string         // of Forwarded: the interface by which it leaves
	Nobody     string         // Dropped, Refused or NoRoute
	Reason     string         // in words
}

// Link is the Hook of a step in which the packet comes to another namespace.
const Link = "link"

// Step is a rule that mattered, or another decision on the way.
type Step struct {
	Netns    string
	Hook     string
	Priority int
	Rule     string // in the language of its writer; "" where no rule decided
	Effect   string
}

// Answer is all that is said of a packet.
type Answer struct {
	Outcomes []Outcome
	Steps    []Step
}

// World is the namespace that the packet comes to.
type World struct {
	Netns  string // its name; "" is where natwarden was started
	Space  *host.Space
	Routes host.Router
	// Sockets is true where all listeners were read.
	Sockets bool
	// Unread are the sources that could not be read and may take the packet: with
	// one no answer is certain.
	Unread []string
	// Beyond finds the namespace of this machine that a packet comes to when it
	// leaves this one; nil, or false of what it returns, where none is known.
	Beyond func(Hop) (Place, bool)
}

// Follow says what becomes of a packet.
func Follow(w World, p Packet) Answer { return NewEngine(w).Follow(p) }
