// Package genl asks families of generic netlink, in the network namespace of
// the calling thread. It finds a family in the list of those that are there:
// asking for one by name would load its module (net/netlink/genetlink.c).
//
// It is a part of natwarden, a program, and no general client: it dumps, and
// sends what an editor changes.
package genl

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"

	"github.com/natwarden/natwarden/internal/nlsock"
)

// patience bounds all that is asked where the context has no deadline of its own.
const patience = 20 * time.Second

// attempts bounds how often a dump that a change tore is read again.
const attempts = 5

// headerSize is GENL_HDRLEN of include/uapi/linux/genetlink.h: command, version, two reserved bytes.
const headerSize = 4

// Conn is a generic netlink socket. Close it.
type Conn struct{ c *netlink.Conn }

// Dial opens a socket that waits no longer than ctx.
func Dial(ctx context.Context) (*Conn, error) {
	c, err := nlsock.Dial(unix.NETLINK_GENERIC, nil)
	if err != nil {
		return nil, fmt.Errorf("opening generic netlink: %w", err)
	}
	deadline, ok := ctx.Deadline()
	if !ok {
		deadline = time.Now().Add(patience)
	}
	if err := c.SetDeadline(deadline); err != nil {
		c.Close()
		return nil, fmt.Errorf("opening generic netlink: %w", err)
	}
	return &Conn{c}, nil
}

// Close closes the socket.
func (c *Conn) Close() error { return c.c.Close() }

// Families are the numbers of the families that are in the kernel, by name.
func (c *Conn) Families() (map[string]uint16, error) {
	list, err := c.Dump(unix.GENL_ID_CTRL, unix.CTRL_CMD_GETFAMILY, 1, nil)
	if err != nil {
		return nil, fmt.Errorf("listing families of generic netlink: %w", err)
	}
	out := make(map[string]uint16, len(list))
	for _, m := range list {
		name, id, err := family(m)
		if err != nil {
			return nil, fmt.Errorf("listing families of generic netlink: %w", err)
		}
		out[name] = id
	}
	return out, nil
}

func family(m Message) (name string, id uint16, err error) {
	ad, err := netlink.NewAttributeDecoder(m.Attrs)
	if err != nil {
		return "", 0, err
	}
	for ad.Next() {
		switch ad.Type() {
		case unix.CTRL_ATTR_FAMILY_ID:
			id = ad.Uint16()
		case unix.CTRL_ATTR_FAMILY_NAME:
			name = ad.String()
		}
	}
	return name, id, ad.Err()
}

// Message is one answer: its command and its attributes.
type Message struct {
	Command uint8
	Attrs   []byte
}

// Parse takes a message apart as it comes from the kernel.
func Parse(b []byte) (Message, error) {
	if len(b) < headerSize {
		return Message{}, errors.New("a message is shorter than its header")
	}
	return Message{Command: b[0], Attrs: b[headerSize:]}, nil
}

// Dump asks a family for all objects that a command lists. A torn dump is read
// again.
func (c *Conn) Dump(family uint16, command, version uint8, attrs []byte) ([]Message, error) {
	req := netlink.Message{Header: netlink.Header{Type: netlink.HeaderType(family), Flags: netlink.Request | netlink.Dump},
		Data: append([]byte{command, version, 0, 0}, attrs...)}
	for range attempts {
		answer, err := c.c.Execute(req)
		if err != nil {
			return nil, fmt.Errorf("dumping (family %d, command %d): %w", family, command, err)
		}
		out, torn, err := parseAll(answer)
		if err != nil || !torn {
			return out, err
		}
	}
	return nil, fmt.Errorf("dumping (family %d, command %d): it kept changing; try again when it is quiet", family, command)
}

func parseAll(answer []netlink.Message) (out []Message, torn bool, err error) {
	for _, a := range answer {
		if a.Header.Flags&netlink.DumpInterrupted != 0 {
			return nil, true, nil
		}
		m, err := Parse(a.Data)
		if err != nil {
			return nil, false, err
		}
		out = append(out, m)
	}
	return out, false, nil
}

// Attribute packs one attribute with its padding (struct nlattr, include/uapi/linux/netlink.h).
func Attribute(kind uint16, data []byte) []byte {
	b := binary.NativeEndian.AppendUint16(nil, uint16(4+len(data)))
	b = append(binary.NativeEndian.AppendUint16(b, kind), data...)
	for len(b)%4 != 0 {
		b = append(b, 0)
	}
	return b
}
