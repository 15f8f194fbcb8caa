package path_test

import (
	"context"
	"encoding/binary"
	"net/netip"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/natwarden/natwarden/internal/lab/labtest"
)

// arrival is a first packet that came to a backend: who got it does not depend
// on the way of later packets.
type arrival struct {
	proto uint8
	sport uint16
}

// sniff records the SYNs and datagrams that arrive at a backend.
func (l *diffLab) sniff(t testing.TB, s labtest.Space, name string) {
	fd := -1
	s.MustDo(t, func(context.Context) error {
		var err error
		all := uint16(unix.ETH_P_ALL)<<8 | uint16(unix.ETH_P_ALL)>>8
		fd, err = unix.Socket(unix.AF_PACKET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, int(all))
		return err
	})
	_ = unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &unix.Timeval{Usec: 50000})
	stop, stopped := make(chan struct{}), make(chan struct{})
	t.Cleanup(func() { close(stop); <-stopped; unix.Close(fd) })
	go func() {
		defer close(stopped)
		b := make([]byte, 2048)
		for {
			select {
			case <-stop:
				return
			default:
			}
			n, from, err := unix.Recvfrom(fd, b, 0)
			if err != nil {
				continue
			}
			if link, ok := from.(*unix.SockaddrLinklayer); ok && link.Pkttype == unix.PACKET_HOST {
				l.arrived(b[:n], name)
			}
		}
	}()
}

func (l *diffLab) arrived(b []byte, name string) {
	var proto uint8
	var dst netip.Addr
	switch {
	case len(b) >= 40 && b[0]>>4 == 6:
		proto, dst, b = b[6], netip.AddrFrom16([16]byte(b[24:40])), b[40:]
	case len(b) >= 20 && b[0]>>4 == 4:
		proto, dst, b = b[9], netip.AddrFrom4([4]byte(b[16:20])), b[int(b[0]&15)*4:]
	}
	const syn, ack = 2, 16
	if len(b) < 8 || proto == 6 && (len(b) < 20 || b[13]&(syn|ack) != syn) || proto != 6 && proto != 17 {
		return
	}
	at := arrival{proto, binary.BigEndian.Uint16(b)}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.came[at] == "" {
		l.came[at] = name + " " + netip.AddrPortFrom(dst, binary.BigEndian.Uint16(b[2:])).String()
	}
}
