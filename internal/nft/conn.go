package nft

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"syscall"
	"time"

	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"

	"github.com/natwarden/natwarden/internal/nlsock"
	"github.com/natwarden/natwarden/internal/retry"
)

// ErrAbsent says that this kernel has no nf_tables: there are no rules in it.
var ErrAbsent = errors.New("nf_tables is not loaded")

// Patience bounds every exchange with the kernel whose context has no earlier
// end. A dump of 50,000 rules takes a tenth of a second.
const Patience = 2 * time.Minute

// Conn is a netlink socket (NETLINK_NETFILTER) in the network namespace of the
// thread that opened it. It sends and receives whole datagrams without copying them.
type Conn struct {
	sock  *netlink.Conn
	raw   syscall.RawConn
	stop  func() bool
	ctx   context.Context
	seq   uint32
	arena []byte // not yet filled
	size  int    // of the arena
}

// Open opens a socket that lives until Close and waits no longer than ctx
// lasts. Where the kernel has no nf_tables the error is ErrAbsent.
func Open(ctx context.Context) (*Conn, error) {
	sock, err := nlsock.Dial(unix.NETLINK_NETFILTER, nil)
	if errors.Is(err, unix.EPROTONOSUPPORT) || errors.Is(err, unix.EAFNOSUPPORT) {
		return nil, ErrAbsent
	}
	if err != nil {
		return nil, fmt.Errorf("opening a netlink socket to nf_tables: %w", err)
	}
	raw, err := sock.SyscallConn()
	if err != nil {
		sock.Close()
		return nil, fmt.Errorf("opening a netlink socket to nf_tables: %w", err)
	}
	c := &Conn{sock: sock, raw: raw, ctx: ctx}
	if err := c.limit(); err != nil {
		sock.Close()
		return nil, err
	}
	return c, nil
}

// limit lets every wait end with the context.
func (c *Conn) limit() error {
	end := time.Now().Add(Patience)
	if d, ok := c.ctx.Deadline(); ok && d.Before(end) {
		end = d
	}
	if err := c.sock.SetDeadline(end); err != nil {
		return fmt.Errorf("limiting the wait for nf_tables: %w", err)
	}
	c.stop = context.AfterFunc(c.ctx, func() { _ = c.sock.SetDeadline(time.Unix(1, 0)) })
	return nil
}

// Close closes the socket.
func (c *Conn) Close() error {
	c.stop()
	return c.sock.Close()
}

// Buffers makes the kernel's buffers of the socket at least so large, in
// bytes, past the limits of net.core (CAP_NET_ADMIN); 0 leaves one as it is.
func (c *Conn) Buffers(send, receive int) error {
	var errSend, errReceive error
	err := c.raw.Control(func(fd uintptr) {
		if send > 0 {
			errSend = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_SNDBUFFORCE, send)
		}
		if receive > 0 {
			errReceive = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, receive)
		}
	})
	if err := errors.Join(err, errSend, errReceive); err != nil {
		return fmt.Errorf("enlarging the buffers of the netlink socket: %w", err)
	}
	return nil
}

// Reasons makes the kernel say in words what is wrong with a message
// (NETLINK_EXT_ACK); an old kernel that cannot goes without.
func (c *Conn) Reasons() {
	_ = c.sock.SetOption(netlink.ExtendedAcknowledge, true)
	_ = c.sock.SetOption(netlink.CapAcknowledge, true) // do not send back what was wrong
}

// NextSeq gives the sequence number for the next message.
func (c *Conn) NextSeq() uint32 {
	c.seq++
	return c.seq
}

// Send sends one datagram of one or more messages.
func (c *Conn) Send(datagram []byte) error {
	to := &unix.SockaddrNetlink{Family: unix.AF_NETLINK}
	var sent error
	err := c.raw.Write(func(fd uintptr) bool {
		// An interrupted one is not waiting for room: nothing would wake it.
		sent = retry.Call(func() error { return unix.Sendto(int(fd), datagram, 0, to) })
		return !errors.Is(sent, unix.EAGAIN)
	})
	return c.explain(errors.Join(err, sent))
}

// The sizes of receiving: the kernel fills at most 32 KiB of a dump at once
// (af_netlink.c: netlink_recvmsg), and a single message stays below datagramMax.
// Datagrams are received one after the other into arenas, each larger than
// the one before, and never copied.
const (
	datagramMax = 128 << 10
	arenaMax    = 2 << 20
)

// Receive waits for a datagram. Its bytes stay valid as long as they are kept.
func (c *Conn) Receive() ([]byte, error) {
	var n int
	var got error
	room := c.room()
	err := c.raw.Read(func(fd uintptr) bool {
		got = retry.Call(func() (err error) { n, _, err = unix.Recvfrom(int(fd), room, unix.MSG_TRUNC); return err })
		return !errors.Is(got, unix.EAGAIN)
	})
	if err := errors.Join(err, got); err != nil {
		return nil, c.explain(err)
	}
	return c.keep(n)
}

// ReceiveNow is Receive without waiting: nil where nothing is there. The kernel
// answers a message before sending it returns, so after Send that means: no
// more. It works past the end of the context: what was committed must be known.
func (c *Conn) ReceiveNow() ([]byte, error) {
	var n int
	var got error
	room := c.room()
	err := c.raw.Control(func(fd uintptr) {
		got = retry.Call(func() (err error) {
			n, _, err = unix.Recvfrom(int(fd), room, unix.MSG_TRUNC|unix.MSG_DONTWAIT)
			return err
		})
	})
	if err == nil && errors.Is(got, unix.EAGAIN) {
		return nil, nil
	}
	if err := errors.Join(err, got); err != nil {
		return nil, c.explain(err)
	}
	return c.keep(n)
}

// room is where the next datagram goes.
func (c *Conn) room() []byte {
	if len(c.arena) < datagramMax {
		c.size = min(max(2*c.size, 2*datagramMax), arenaMax)
		c.arena = make([]byte, c.size)
	}
	return c.arena[:datagramMax]
}

// keep takes the received bytes out of the arena.
func (c *Conn) keep(n int) ([]byte, error) {
	if n > datagramMax {
		return nil, fmt.Errorf("receiving from nf_tables: a datagram of %d bytes is larger than %d", n, datagramMax)
	}
	b := c.arena[:n:n]
	c.arena = c.arena[align(n):]
	return b, nil
}

func (c *Conn) explain(err error) error {
	if errors.Is(err, os.ErrDeadlineExceeded) {
		if ctxErr := context.Cause(c.ctx); ctxErr != nil {
			return ctxErr
		}
		return fmt.Errorf("the kernel gave no answer within %s: %w", Patience, err)
	}
	return err
}

// MessageHead is sizeof(struct nlmsghdr) and NetfilterHead sizeof(struct nfgenmsg).
const (
	MessageHead   = 16
	NetfilterHead = 4
)

// AppendMessage appends one netlink message with its nfgenmsg header
// (include/uapi/linux/netfilter/nfnetlink.h) around a list of attributes.
func AppendMessage(b []byte, typ, flags uint16, seq uint32, family uint8, resource uint16, attrs []byte) []byte {
	n := MessageHead + NetfilterHead + len(attrs)
	b = binary.NativeEndian.AppendUint32(b, uint32(n))
	b = binary.NativeEndian.AppendUint16(b, typ)
	b = binary.NativeEndian.AppendUint16(b, flags|unix.NLM_F_REQUEST)
	b = binary.NativeEndian.AppendUint32(b, seq)
	b = binary.NativeEndian.AppendUint32(b, 0)
	b = append(b, family, unix.NFNETLINK_V0)
	b = binary.BigEndian.AppendUint16(b, resource)
	b = append(b, attrs...)
	return append(b, make([]byte, align(n)-n)...)
}

// Message is one netlink message of a datagram; Body is all after its header.
type Message struct {
	Type, Flags uint16
	Seq         uint32
	Body        []byte
}

// Messages calls visit for each message of a datagram. A torn datagram is an error.
func Messages(datagram []byte, visit func(Message) error) error {
	for b := datagram; len(b) > 0; {
		if len(b) < MessageHead {
			return ErrTorn
		}
		n := int(binary.NativeEndian.Uint32(b))
		if n < MessageHead || n > len(b) {
			return ErrTorn
		}
		m := Message{binary.NativeEndian.Uint16(b[4:]), binary.NativeEndian.Uint16(b[6:]), binary.NativeEndian.Uint32(b[8:]), b[MessageHead:n:n]}
		if err := visit(m); err != nil {
			return err
		}
		b = b[min(align(n), len(b)):]
	}
	return nil
}
