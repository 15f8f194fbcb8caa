package host

// Table is one table of a netfilter subsystem, decoded.
type Table struct {
	Backend string // "nf_tables" or "x_tables"
	Family  Family
	Name    string
	Dormant bool   // nf_tables flag: no chain of it runs
	Owner   uint32 // netlink port id of the owner of an nf_tables table with "flags owner"; 0 for none
	Chains  []*Chain
	// Filled are the names of the sets that packets fill (dynset, SET target), so
	// that an empty one is a knock and not a dead end.
	Filled map[string]bool
}

// Chain is a chain with its rules in order.
type Chain struct {
	Name   string
	Handle uint64
	Base   *Base // nil for a chain that is only jumped to
	// Anonymous is true of a chain that belongs to one rule (NFT_CHAIN_BINDING).
	Anonymous bool
	Rules     []*Rule
}

// Base is where a base chain hangs in the kernel.
type Base struct {
	Hook     string // prerouting input forward output postrouting ingress egress brouting
	Priority int
	Type     string // filter nat route; of an x_tables chain: "nat" in table nat, else "filter"
	Policy   string // accept or drop
	Devices  []string
}

// Rule is one rule, decoded. A rule that uses a map has a branch for each
// element; most have exactly one.
type Rule struct {
	Handle  uint64 // nf_tables; 0 in x_tables
	Index   int    // place in its chain, from 1
	Writer  string // nft, iptables-nft, iptables-legacy, ebtables-nft
	Comment string
	// Text is the rule as its writer would type it; filled for rules that have an
	// effect or that are not understood, else "".
	Text     string
	Branches []Branch
	// Opaque names the expressions, matches or targets that were not understood.
	Opaque []string
	// Fingerprint identifies the rule by content without counters and handles.
	Fingerprint string
}

// Verdict is what becomes of a packet after a branch.
type Verdict uint8

// The verdicts. Accept ends the base chain, Drop ends the packet.
const (
	Continue Verdict = iota
	Accept
	Drop
	Return
	Jump
	Goto
	Queue
	Stolen    // taken away: fwd, a bridge drop
	Uncertain // it may end the chain or go on: a target that is not understood
)

// Branch is one way through a rule: what it takes and what it does.
type Branch struct {
	Match   Match
	Verdict Verdict
	Chain   string // the target of Jump and Goto
	Effects []Effect
	Assigns []Assign // marks and the like that the branch sets, in order
	Element *Element // the element of a set or map that makes this branch
}

// Effect is one translation or interception.
type Effect struct {
	Kind string // dnat redirect netmap tproxy rewrite forward dup queue mac-redirect snat masquerade
	To   []Target
	// Unknown says why it cannot be said what this does, or where to; such an effect may redirect.
	Unknown string
	// Source is true where the source and not the destination is changed (SNAT,
	// masquerade, a rewritten or mapped source, SNPT): information only.
	Source bool
	// Evidence is further detail in words: "queue 7", "tproxy mark 0x1/0x1", "random".
	Evidence []string
	// Writer overrides the rule's writer where it is known better per effect; usually "".
	Writer string
}

// Element names an element of a set or map.
type Element struct {
	Set       string // name of the set or map
	Anonymous bool   // the set belongs to the rule and cannot be edited
	Key       string // the element as its tool writes it: "80", "10.77.1.1 . 80"
	Raw       []byte // the raw key, to find it again: NFTA_SET_ELEM_KEY, then KEY_END where there is one
}
