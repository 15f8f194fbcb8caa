package host

// Field is what a Test looks at or an Assign changes.
type Field uint8

// The fields. Their numbers are natwarden's own; what values mean is said of each.
const (
	NoField          Field = iota
	FieldMark              // packet mark
	FieldCTMark            // connection mark; without a connection no test of it holds
	FieldCTState           // bits as nft has them: invalid 1, established 2, related 4, new 8, untracked 64; StateSNAT, StateDNAT
	FieldCTStatus          // bits of enum ip_conntrack_status
	FieldCTDirection       // 0 original, 1 reply
	FieldSourceType        // RTN_* (include/uapi/linux/rtnetlink.h) of the source address
	FieldDestType          // RTN_* of the destination address
	FieldPktType           // PACKET_* (include/uapi/linux/if_packet.h)
	FieldTCPFlags          // the flag bits of the TCP header
	FieldIn                // a further condition on the interface of arrival: Ifaces
	FieldOut
	FieldOrigSource // of the connection's original tuple: Addrs
	FieldOrigDest
	FieldOrigSPort // Ports
	FieldOrigPort
	FieldOriginal // some of the match's sets are about the connection's original tuple
	FieldStated   // the words repeat what the match's sets say
	FieldNoTrack  // Assign only: the packet is not tracked
	FieldReject   // Assign only: the verdict Drop is told to the sender
)

// StateSNAT and StateDNAT are bits of FieldCTState beyond nft's own: x_tables
// counts a translated connection as a state.
const (
	StateSNAT = 1 << 16
	StateDNAT = 1 << 17
)

// ByReset is the Value of an Assign of FieldReject that answers with a TCP
// reset; others answer with ICMP.
const ByReset = 1

// Span is a closed interval of numbers.
type Span struct{ Lo, Hi uint32 }

// Test is a condition of a Match in a form that can be computed. Words is the
// same condition in Match.Conditions; a condition without a Test is only known in words.
type Test struct {
	Words string
	Field Field
	Mask  uint32 // the bits that count
	Spans []Span // what the masked value may be
	Not   bool   // none of Spans, Ifaces, Addrs, Ports
	// NeedsFlow: without a connection the test fails, whatever Not says.
	NeedsFlow bool
	Ifaces    Ifaces
	Addrs     Addrs
	Ports     Ports
}

// Expect adds a test, and its words as a condition.
func (m *Match) Expect(t Test) {
	if t.Words != "" {
		m.Require(t.Words)
	}
	m.Tests = append(m.Tests[:len(m.Tests):len(m.Tests)], t)
}

// Assign is a change of a mark, or of how the packet is treated, that a branch
// makes: new = old &^ Mask ^ (from & FromMask) ^ Value.
type Assign struct {
	Field    Field
	Mask     uint32
	Value    uint32
	From     Field // FieldMark, FieldCTMark or NoField
	FromMask uint32
	Unknown  string // why the new value cannot be said; "" where it can
}
