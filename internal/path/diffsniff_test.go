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

func (p *probe) arrival() arrival { return arrival{uint8(p.Proto), p.SPort} }

// ear is a socket at which packets are heard. Whoever waits for answers listens
// to all of them: what came before is heard, however busy the machine is.
type ear struct {
	fd   int
	hear func(packet []byte, from unix.Sockaddr)
}

// take hears what has come.
func (e *ear) take() {
	b := make([]byte, 2048)
	for {
		n, from, err := unix.Recvfrom(e.fd, b, unix.MSG_DONTWAIT)
		if err != nil {
			return
		}
		e.hear(b[:n], from)
	}
}

// sniff hears all packets that arrive in a namespace, or by one interface.
func (l *diffLab) sniff(t testing.TB, s labtest.Space, index int, look func([]byte)) {
	fd := -1
	s.MustDo(t, func(context.Context) error {
		var err error
		all := uint16(unix.ETH_P_ALL)<<8 | uint16(unix.ETH_P_ALL)>>8
		if fd, err = unix.Socket(unix.AF_PACKET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, int(all)); err != nil {
			return err
		}
		return unix.Bind(fd, &unix.SockaddrLinklayer{Protocol: all, Ifindex: index})
	})
	t.Cleanup(func() { unix.Close(fd) })
	l.sniffers = append(l.sniffers, ear{fd, func(b []byte, from unix.Sockaddr) {
		if link, ok := from.(*unix.SockaddrLinklayer); ok && link.Pkttype == unix.PACKET_HOST {
			look(b)
		}
	}})
}

// ears are all that is listened to now.
func (l *diffLab) ears() []ear {
	return append(l.sniffers[:len(l.sniffers):len(l.sniffers)], l.datagrams...)
}

// takeAll hears everything that has come.
func (l *diffLab) takeAll() {
	for _, e := range l.ears() {
		e.take()
	}
}

// header reads the addresses and the protocol of a packet and what follows them.
func header(b []byte) (proto uint8, dst netip.Addr, rest []byte) {
	switch {
	case len(b) >= 40 && b[0]>>4 == 6:
		return b[6], netip.AddrFrom16([16]byte(b[24:40])), b[40:]
	case len(b) >= 20 && b[0]>>4 == 4 && len(b) >= int(b[0]&15)*4:
		return b[9], netip.AddrFrom4([4]byte(b[16:20])), b[int(b[0]&15)*4:]
	}
	return 0, dst, nil
}

const (
	flagSYN = 2
	flagRST = 4
	flagACK = 16
)

// arrived records first packets at a backend.
func (l *diffLab) arrived(b []byte, name string) {
	proto, dst, b := header(b)
	if len(b) < 8 || proto == unix.IPPROTO_TCP && (len(b) < 20 || b[13]&(flagSYN|flagACK) != flagSYN) || proto != unix.IPPROTO_TCP && proto != unix.IPPROTO_UDP {
		return
	}
	at := arrival{proto, binary.BigEndian.Uint16(b)}
	if l.came[at] == "" {
		l.came[at] = name + " " + netip.AddrPortFrom(dst, binary.BigEndian.Uint16(b[2:])).String()
	}
}

// synAck says that somebody answered the first packet of a connection.
const synAck = "syn-ack"

// returned records what first comes back to the client, also where the
// client's socket does not hear of it.
func (l *diffLab) returned(b []byte) {
	proto, _, b := header(b)
	at, what := arrival{proto: proto}, ""
	switch {
	case proto == unix.IPPROTO_TCP && len(b) >= 20 && b[13]&flagRST != 0:
		at.sport, what = binary.BigEndian.Uint16(b[2:]), "refused"
	case proto == unix.IPPROTO_TCP && len(b) >= 20 && b[13]&(flagSYN|flagACK) == flagSYN|flagACK:
		at.sport, what = binary.BigEndian.Uint16(b[2:]), synAck
	case proto == unix.IPPROTO_ICMP && len(b) > 8 && b[0] == 3, proto == unix.IPPROTO_ICMPV6 && len(b) > 8 && b[0] == 1:
		inner, _, rest := header(b[8:])
		if len(rest) < 2 {
			return
		}
		at, what = arrival{inner, binary.BigEndian.Uint16(rest)}, "unreachable"
	default:
		return
	}
	if l.back[at] == "" {
		l.back[at] = what
	}
}

// hasAnswered says whether the client heard an answer that did not fit.
func (l *diffLab) hasAnswered(p *probe) bool {
	return l.back[p.arrival()] == synAck
}
