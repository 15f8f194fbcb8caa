package host

import "net/netip"

// Line is a connection that a change must not cut: the one by which its caller
// is there, or by which the host is managed. Its processes are those whose end
// would end it.
type Line struct {
	Guard string // of remediate, that speaks for it
	Words string // "your ssh session from 198.51.100.7:50000 to 10.0.0.1:22"
	// Proto is tcp or udp; "" of mere processes, which have no ends.
	Proto string
	// Here and There are its ends as the socket of this host has them. There is
	// invalid where anybody may be at the other end, both where it is no connection.
	Here, There netip.AddrPort
	// Dialed is true where this host opened it.
	Dialed bool
	// Netns is the label of the namespace that the socket lives in, where Placed;
	// else it may be in any.
	Netns  string
	Placed bool
	// Inode is the socket's; 0 where it is not known.
	Inode     uint64
	Processes []Process
}

// Way is what becomes of the packets of a line, in one network namespace.
type Way struct {
	// Seen is true where the line comes through the namespace, or may.
	Seen bool
	// Certain is true where one answer is certain before the change and after it,
	// and that before is how the line does run.
	Certain bool
	// Before and After say in words who answers.
	Before, After string
	// Asked is what its client asked for, before any translation; invalid where
	// that is not known.
	Asked netip.AddrPort
	// Unmarked is true where surely nothing marks its packets.
	Unmarked bool
}
