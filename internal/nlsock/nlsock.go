// Package nlsock opens sockets of github.com/mdlayher/netlink that no signal
// holds up. The library takes a call that a signal interrupted (EINTR) for one
// that has to wait, and waits for an event that has been and gone: until the
// deadline, or for ever where there is none. Here the call is made again.
//
// It is of natwarden, and no library.
package nlsock

import (
	"encoding/binary"
	"errors"
	"fmt"
	"iter"
	"os"
	"syscall"

	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"

	"github.com/natwarden/natwarden/internal/retry"
)

// Dial opens a netlink socket of a family (NETLINK_ROUTE, …) in the network
// namespace of the calling thread, as netlink.Dial does.
func Dial(family int, config *netlink.Config) (*netlink.Conn, error) {
	c, err := netlink.Dial(family, config)
	if err != nil {
		return nil, err
	}
	raw, err := c.SyscallConn()
	if err != nil {
		c.Close()
		return nil, fmt.Errorf("opening a netlink socket: %w", err)
	}
	s := &socket{Conn: c, raw: raw}
	if config != nil && config.MessageBufferSize > 0 {
		s.buffer = make([]byte, config.MessageBufferSize)
	}
	return netlink.NewConn(s, c.PID()), nil
}

// socket is what a netlink.Conn sends and receives through. Options, deadlines
// and groups are those of the library's own, and so is the order in which it is
// used: one receives at a time.
type socket struct {
	*netlink.Conn
	raw    syscall.RawConn
	buffer []byte // for every datagram; nil where each is asked for its size
}

// Send sends one message.
func (s *socket) Send(m netlink.Message) error { return s.SendMessages([]netlink.Message{m}) }

// SendMessages sends messages in one datagram.
func (s *socket) SendMessages(messages []netlink.Message) error {
	var datagram []byte
	for _, m := range messages {
		b, err := m.MarshalBinary()
		if err != nil {
			return err
		}
		datagram = append(datagram, b...)
	}
	to := &unix.SockaddrNetlink{Family: unix.AF_NETLINK}
	var sent error
	err := s.raw.Write(func(fd uintptr) bool {
		sent = retry.Call(func() error { return unix.Sendto(int(fd), datagram, 0, to) })
		return !errors.Is(sent, unix.EAGAIN)
	})
	if err == nil {
		err = os.NewSyscallError("sendto", sent)
	}
	return err // the deadline, where it is over
}

// Receive receives the messages of one datagram.
func (s *socket) Receive() (out []netlink.Message, err error) {
	for m, err := range s.ReceiveIter() {
		if err != nil {
			return nil, err
		}
		out = append(out, m)
	}
	return out, nil
}

// ReceiveIter gives the messages of one datagram.
func (s *socket) ReceiveIter() iter.Seq2[netlink.Message, error] {
	return func(yield func(netlink.Message, error) bool) {
		b, err := s.datagram()
		if err != nil {
			yield(netlink.Message{}, err)
			return
		}
		for len(b) >= unix.SizeofNlMsghdr {
			size := align(int(binary.NativeEndian.Uint32(b)))
			if size < unix.SizeofNlMsghdr || size > len(b) {
				yield(netlink.Message{}, errTorn)
				return
			}
			var m netlink.Message
			if err := m.UnmarshalBinary(b[:size:size]); !yield(m, err) || err != nil {
				return
			}
			b = b[size:]
		}
	}
}

var errTorn = errors.New("receiving from netlink: a message does not fit into its datagram")

// align rounds up to the alignment of messages (NLMSG_ALIGNTO, linux/netlink.h).
func align(n int) int { return (n + 3) &^ 3 }

// datagram receives one datagram into memory of the caller's own, with zeroes
// after it up to the alignment.
func (s *socket) datagram() ([]byte, error) {
	room := s.buffer
	if room == nil {
		n, err := s.receive(nil, unix.MSG_PEEK)
		if err != nil {
			return nil, err
		}
		room = make([]byte, n)
	}
	n, err := s.receive(room, 0)
	if err != nil {
		return nil, err
	}
	if n > len(room) {
		return nil, fmt.Errorf("receiving from netlink: a datagram of %d bytes is larger than %d", n, len(room))
	}
	out := make([]byte, align(n))
	copy(out, room[:n])
	return out, nil
}

// receive waits for a datagram and gives its whole length, which may be more
// than there was room for (MSG_TRUNC, recv(2)).
func (s *socket) receive(room []byte, flags int) (n int, err error) {
	var got error
	err = s.raw.Read(func(fd uintptr) bool {
		got = retry.Call(func() (err error) { n, _, err = unix.Recvfrom(int(fd), room, flags|unix.MSG_TRUNC); return err })
		return !errors.Is(got, unix.EAGAIN)
	})
	if err == nil {
		err = os.NewSyscallError("recvfrom", got)
	}
	return n, err // the deadline, where it is over
}
