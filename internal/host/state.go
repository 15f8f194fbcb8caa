package host

import "sync"

// Blind is something that could not be read or understood. While one stands,
// nothing is called compliant.
type Blind struct {
	Source string `json:"source"`
	What   string `json:"what"`
	Why    string `json:"why"`
}

// SourceState is the proof of what was looked at.
type SourceState struct {
	Name    string `json:"name"`
	State   string `json:"state"` // read absent skipped failed
	Objects int    `json:"objects"`
	Why     string `json:"why"`
}

// The states of a source.
const (
	Read    = "read"
	Absent  = "absent"
	Skipped = "skipped"
	Failed  = "failed"
)

// Iface is a network interface of a namespace.
type Iface struct {
	Name  string
	Index int
	Up    bool
	// Kind is the driver's name for a virtual interface (IFLA_INFO_KIND: veth,
	// macvlan, bridge); "" for hardware and for the loopback.
	Kind     string
	Loopback bool
	// Other is the index of the interface at the other end or below (IFLA_LINK),
	// 0 for none; OtherNetns is the namespace that it is in, by the number that this
	// namespace has for it (IFLA_LINK_NETNSID), -1 for this one.
	Other, OtherNetns int
	// Master is the index of the bridge, bond or the like that it is a port of
	// (IFLA_MASTER), 0 for none.
	Master int
	// Filtering is true of a bridge that keeps VLANs apart (vlan_filtering).
	Filtering bool
	// Port is the UDP port that the kernel itself answers on for the interface
	// (vxlan, geneve); 0 for none.
	Port uint16
}

// Space is what one network namespace holds.
type Space struct {
	Netns    string // "" is the namespace in which natwarden was started
	NetnsUID uint32
	Tables   []*Table
	Ifaces   []Iface // nil: not read
	// Addrs are the namespace's own addresses.
	Addrs     []string
	Listeners []Listener
	Packets   []PacketSocket
	Queues    []QueueReader
	Redirects []Redirect // those that are no rules; those of rules follow from Tables
	// Deliveries are the local routes for addresses that are not the host's, with
	// what leads to them; nil where routes were not read.
	Deliveries []Delivery
	// Routes says how the namespace routes; nil where routes were not read. Whoever
	// audits closes it, where it is an io.Closer.
	Routes Router
	// Unreached says why no packet from outside comes into the namespace: nothing
	// in it then answers for another. "" where one may, or where it is not known.
	Unreached string
	// Failed are the names of the sources that could not read the namespace, Partial
	// of those that read it but not all of it.
	Failed, Partial []string
	// Generation is the nf_tables generation at which Tables was read.
	Generation uint32

	byPort    map[uint16][]*Listener // made at the first question, when Listeners is whole
	tracked   bool
	trackedIn map[Family]bool
	markers   []string

	mu sync.Mutex // sources of one space run side by side
}

// AddTables adds what a source decoded; sources may call it side by side. The
// order of a report does not depend on who came first: nf_tables stands before x_tables.
func (s *Space) AddTables(tables ...*Table) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(tables) > 0 && tables[0].Backend == "nf_tables" {
		s.Tables = append(tables[:len(tables):len(tables)], s.Tables...)
		return
	}
	s.Tables = append(s.Tables, tables...)
}

// State is everything that was read.
type State struct {
	Spaces  []*Space
	Sources []SourceState
	Blind   []Blind
	// Doubts are what could falsify the report, and what was not read without
	// making it incomplete, in words.
	Doubts []string
}

// Reading is what a source says of one network namespace.
type Reading struct {
	State   string // Read, Absent or Skipped
	Objects int    // rules, sockets, …: the proof that something was looked at
	Why     string
	Blind   []Blind
}

// AddRedirects adds rows of redirects that are no rules, says of each where it
// stands and gives it its id; sources may call it side by side.
func (s *Space) AddRedirects(rows ...Redirect) {
	for i := range rows {
		rows[i].Netns, rows[i].NetnsUID = s.Netns, s.NetnsUID
		if rows[i].Ref != nil {
			rows[i].Ref.Netns = s.Netns
		}
		rows[i].ID = ID(&rows[i], rows[i].Content)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.Redirects = append(s.Redirects, rows...)
}

// NoteTracking says that a rule of the space uses conntrack for packets of the
// families (none: of both): a ct or state match, or a translation. Only then does
// the kernel track connections there.
func (s *Space) NoteTracking(families ...Family) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.tracked = true
	if len(families) == 0 {
		families = []Family{IP, IP6}
	}
	if s.trackedIn == nil {
		s.trackedIn = map[Family]bool{}
	}
	for _, f := range families {
		s.trackedIn[f] = true
	}
}

// TrackedIn says whether a rule uses conntrack for packets of the family, IP or IP6.
func (s *Space) TrackedIn(family Family) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.trackedIn[family]
}

// Tracked says whether a rule of the space uses conntrack.
func (s *Space) Tracked() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.tracked
}

// ListenersOn gives the listeners on a port. It is asked once all are read.
func (s *Space) ListenersOn(port uint16) []*Listener {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.byPort == nil {
		s.byPort = make(map[uint16][]*Listener, len(s.Listeners))
		for i := range s.Listeners {
			l := &s.Listeners[i]
			s.byPort[l.Port] = append(s.byPort[l.Port], l)
		}
	}
	return s.byPort[port]
}
