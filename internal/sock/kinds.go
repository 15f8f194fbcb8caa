package sock

import "golang.org/x/sys/unix"

// TCP states of include/net/tcp_states.h; every inet protocol uses them.
const (
	stateClose  = 7
	stateListen = 10
)

// kind is one protocol whose sockets are read.
type kind struct {
	name   string // as host.Listener.Proto writes it
	number uint32 // IPPROTO_*
	state  uint8  // of the sockets that answer
	// modules must all be present (loaded or built in) for the kernel to answer
	// without loading one: net/ipv4/inet_diag.c requests them by protocol.
	modules []string
	// registered are the names in /proc/net/protocols, one for each family.
	registered [2]string
	// files are those of /proc/net that list the sockets, v4 and v6; "" where
	// another kind's file already does.
	files [2]string
}

// kinds are the protocols whose sockets answer on ports.
//
// The mptcp sockets have no file in /proc/net and need none: the first subflow
// of each stands among the TCP sockets, with the inode of its owner
// (net/mptcp/subflow.c, mptcp_subflow_create_socket).
func kinds() []kind {
	return []kind{
		{"tcp", unix.IPPROTO_TCP, stateListen, []string{"inet_diag", "tcp_diag"},
			[2]string{"TCP", "TCPv6"}, [2]string{"tcp", "tcp6"}},
		{"udp", unix.IPPROTO_UDP, stateClose, []string{"inet_diag", "udp_diag"},
			[2]string{"UDP", "UDPv6"}, [2]string{"udp", "udp6"}},
		{"udplite", unix.IPPROTO_UDPLITE, stateClose, []string{"inet_diag", "udp_diag"},
			[2]string{"UDP-Lite", "UDPLITEv6"}, [2]string{"udplite", "udplite6"}},
		{"sctp", unix.IPPROTO_SCTP, stateListen, []string{"inet_diag", "sctp_diag"},
			[2]string{"SCTP", "SCTPv6"}, [2]string{"sctp/eps", "sctp/eps"}},
		{"mptcp", unix.IPPROTO_MPTCP, stateListen, []string{"inet_diag", "mptcp_diag"},
			[2]string{"MPTCP", "MPTCPv6"}, [2]string{}},
	}
}
