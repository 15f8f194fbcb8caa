package tether

import (
	"net/netip"

	"github.com/natwarden/natwarden/internal/sock"
)

// socket is a TCP or UDP socket of a namespace.
type socket struct {
	proto       string
	here, there netip.AddrPort // there is of port 0 where it has no peer
	listens     bool           // TCP in state LISTEN
	inode       uint64
	space       string // key of the namespace, as namespaces name it
}

// States of include/net/tcp_states.h.
const (
	established = 1
	finWait1    = 4 // this end has said all that it will say
	finWait2    = 5
	closed      = 7 // of UDP: bound, without a peer
	closeWait   = 8
	listening   = 10
)

// readSockets lists the TCP sockets that listen or are connected, and all UDP
// sockets, of the namespace of the calling thread. /proc/net loads no module.
func readSockets() ([]socket, error) {
	var out []socket
	for proto, states := range map[string]uint32{"tcp": 1<<established | 1<<finWait1 | 1<<finWait2 | 1<<closeWait | 1<<listening, "udp": 1<<established | 1<<closed} {
		all, err := sock.ListInet(proto)
		if err != nil {
			return nil, err
		}
		for _, s := range all {
			if states&(1<<s.State) != 0 {
				out = append(out, socket{proto: proto, here: s.Local, there: s.Remote, inode: s.Inode, listens: proto == "tcp" && s.State == listening})
			}
		}
	}
	return out, nil
}

// connected says whether the socket has a peer.
func (s *socket) connected() bool { return s.there.Port() != 0 }
