package genl

import (
	"fmt"

	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"
)

// Send sends one command that changes something, for an editor, and waits for
// the kernel's word that it is done.
func (c *Conn) Send(family uint16, command, version uint8, attrs []byte) error {
	_, err := c.c.Execute(netlink.Message{Header: netlink.Header{Type: netlink.HeaderType(family), Flags: netlink.Request | netlink.Acknowledge},
		Data: append([]byte{command, version, 0, 0}, attrs...)})
	if err != nil {
		return fmt.Errorf("sending (family %d, command %d): %w", family, command, err)
	}
	return nil
}

// Load asks for a family by its name and gives its number. The kernel loads the
// module that has it: only for putting something back.
func (c *Conn) Load(name string) (uint16, error) {
	attrs := Attribute(unix.CTRL_ATTR_FAMILY_NAME, append([]byte(name), 0))
	answer, err := c.c.Execute(netlink.Message{Header: netlink.Header{Type: unix.GENL_ID_CTRL, Flags: netlink.Request},
		Data: append([]byte{unix.CTRL_CMD_GETFAMILY, 1, 0, 0}, attrs...)})
	if err != nil {
		return 0, fmt.Errorf("asking generic netlink for %s: %w", name, err)
	}
	for _, a := range answer {
		m, err := Parse(a.Data)
		if err != nil {
			return 0, err
		}
		if found, id, err := family(m); err == nil && found == name {
			return id, nil
		}
	}
	return 0, fmt.Errorf("asking generic netlink for %s: it is not in the answer", name)
}
