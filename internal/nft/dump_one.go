package nft

import (
	"fmt"

	"golang.org/x/sys/unix"
)

// Generation asks for the generation on an open socket.
func (c *Conn) Generation() (uint32, error) {
	g, err := c.generation()
	if err != nil {
		return 0, fmt.Errorf("asking for the generation of nf_tables: %w", err)
	}
	return g.ID, nil
}

// TableHandle asks for the number that the kernel gave a table when it was
// made (NFTA_TABLE_HANDLE): no other table ever had it. 0: there is no such table.
func (c *Conn) TableHandle(family uint8, name string) (uint64, error) {
	attrs, err := c.one(unix.NFT_MSG_GETTABLE, family, AppendText(nil, unix.NFTA_TABLE_NAME, name))
	if err != nil || attrs == nil {
		return 0, during(err, "table")
	}
	t, err := ParseTable(family, attrs)
	return t.Handle, err
}

// RuleAt asks for the rule of a chain that has a handle; nil where there is
// none. A rule that is put in the place of another (nft replace) has its handle.
func (c *Conn) RuleAt(family uint8, table, chain string, handle uint64) (*Rule, error) {
	which := AppendText(nil, unix.NFTA_RULE_TABLE, table)
	which = AppendText(which, unix.NFTA_RULE_CHAIN, chain)
	attrs, err := c.one(unix.NFT_MSG_GETRULE, family, AppendU64(which, unix.NFTA_RULE_HANDLE, handle))
	if err != nil || attrs == nil {
		return nil, during(err, "rule")
	}
	r := &Rule{}
	_, _, err = ParseRule(attrs, r)
	return r, err
}

// one asks for one object and gives its attributes; nil where there is none.
func (c *Conn) one(what uint16, family uint8, which []byte) (attrs []byte, err error) {
	seq := c.NextSeq()
	if err := c.Send(AppendMessage(nil, tables(what), 0, seq, family, 0, which)); err != nil {
		return nil, err
	}
	for answered := false; !answered; {
		datagram, err := c.Receive()
		if err != nil {
			return nil, err
		}
		err = Messages(datagram, func(m Message) error {
			if m.Seq != seq {
				return nil
			}
			answered = true
			errno := AckErrno(m)
			switch {
			case m.Type == unix.NLMSG_ERROR && errno == unix.ENOENT:
				return nil
			case m.Type == unix.NLMSG_ERROR:
				return errno
			case len(m.Body) < NetfilterHead:
				return ErrTorn
			}
			attrs = m.Body[NetfilterHead:]
			return nil
		})
		if err != nil {
			return nil, err
		}
	}
	return attrs, nil
}
