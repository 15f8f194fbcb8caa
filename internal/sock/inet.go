package sock

import (
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"os"
	"strconv"

	"github.com/natwarden/natwarden/internal/kmod"
)

// Inet is a TCP or UDP socket as /proc/net lists it: without byte counts and
// options, and without a module that must be loaded for it.
type Inet struct {
	Local, Remote netip.AddrPort // IPv4 in IPv6 as IPv4; Remote is of port 0 where it has no peer
	State         uint8          // of net/tcp_states.h
	Inode         uint64
}

// DiagLoaded says whether sock_diag lists the sockets of proto, tcp or udp,
// without the kernel loading a module to answer (net/ipv4/inet_diag.c).
func DiagLoaded(proto string) bool { return kmod.Read().Have("inet_diag", proto+"_diag") }

// ListInet reads the sockets of proto, tcp or udp, of the namespace of the
// calling thread from /proc/net.
func ListInet(proto string) ([]Inet, error) {
	var out []Inet
	for _, name := range []string{proto, proto + "6"} {
		path := "/proc/thread-self/net/" + name
		f, err := os.Open(path)
		if errors.Is(err, fs.ErrNotExist) && name != proto {
			continue // a kernel without IPv6
		}
		if err != nil {
			return nil, fmt.Errorf("reading %s: %w", path, err)
		}
		found, err := parseLines(f, parseSocket)
		f.Close()
		if err != nil {
			return nil, fmt.Errorf("reading %s: %w", path, err)
		}
		out = append(out, found...)
	}
	return out, nil
}

func parseSocket(fields []string) ([]Inet, error) {
	if len(fields) < 10 {
		return nil, errors.New("the line is no socket")
	}
	local, port, err := hexAddrPort(fields[1])
	if err != nil {
		return nil, err
	}
	remote, peer, err := hexAddrPort(fields[2])
	if err != nil {
		return nil, err
	}
	state, err := strconv.ParseUint(fields[3], 16, 8)
	if err != nil {
		return nil, fmt.Errorf("%q is no socket state", fields[3])
	}
	_, inode, err := owner(fields[7], fields[9])
	return []Inet{{netip.AddrPortFrom(local.Unmap(), port), netip.AddrPortFrom(remote.Unmap(), peer), uint8(state), inode}}, err
}
