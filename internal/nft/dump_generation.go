package nft

import (
	"context"
	"fmt"

	"golang.org/x/sys/unix"
)

// GenInfo is the generation of nf_tables in a network namespace: every commit
// makes a new one. The kernel names the process that asks (NFT_MSG_GETGEN) or,
// in a notification, the one that changed (NFT_MSG_NEWGEN).
type GenInfo struct {
	ID   uint32
	PID  uint32
	Comm string
}

// Generation asks for the generation of the namespace of the calling thread;
// 0 where nf_tables is not loaded.
func Generation(ctx context.Context) (uint32, error) {
	if !Loaded() {
		return 0, nil
	}
	c, err := Open(ctx)
	if err == ErrAbsent {
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	defer c.Close()
	g, err := c.generation()
	if err == ErrAbsent {
		return 0, nil
	}
	if err != nil {
		return 0, fmt.Errorf("asking for the generation of nf_tables: %w", err)
	}
	return g.ID, nil
}

// generation asks for the generation. A kernel whose nfnetlink knows no
// nf_tables refuses the very message (EINVAL or EOPNOTSUPP).
func (c *Conn) generation() (GenInfo, error) {
	seq := c.NextSeq()
	if err := c.Send(AppendMessage(nil, tables(unix.NFT_MSG_GETGEN), 0, seq, unix.NFPROTO_UNSPEC, 0, nil)); err != nil {
		return GenInfo{}, err
	}
	for {
		datagram, err := c.Receive()
		if err != nil {
			return GenInfo{}, err
		}
		var g *GenInfo
		err = Messages(datagram, func(m Message) error {
			if m.Seq != seq {
				return nil
			}
			g, err = parseGeneration(m)
			return err
		})
		if g != nil || err != nil {
			return deref(g), err
		}
	}
}

func deref(g *GenInfo) GenInfo {
	if g == nil {
		return GenInfo{}
	}
	return *g
}

func parseGeneration(m Message) (*GenInfo, error) {
	if m.Type == unix.NLMSG_ERROR {
		switch errno := AckErrno(m); errno {
		case unix.EINVAL, unix.EOPNOTSUPP:
			return nil, ErrAbsent
		default:
			return nil, errno
		}
	}
	if len(m.Body) < NetfilterHead {
		return nil, ErrTorn
	}
	return ParseGeneration(m.Body[NetfilterHead:])
}

// ParseGeneration reads the attributes of an NFT_MSG_NEWGEN.
func ParseGeneration(attrs []byte) (*GenInfo, error) {
	g := &GenInfo{}
	err := Walk(attrs, func(typ uint16, data []byte) {
		switch typ {
		case unix.NFTA_GEN_ID:
			g.ID = U32(data)
		case unix.NFTA_GEN_PROC_PID:
			g.PID = U32(data)
		case unix.NFTA_GEN_PROC_NAME:
			g.Comm = Text(data)
		}
	})
	return g, during(err, "generation")
}

const batchGenID = 1 // NFNL_BATCH_GENID, include/uapi/linux/netfilter/nfnetlink.h

// quiet waits until no commit is going on and gives the generation then.
func (c *Conn) quiet() (uint32, error) {
	for range attempts {
		g, err := c.generation()
		if err != nil {
			return 0, err
		}
		if err := c.still(g.ID); err != errOvertaken {
			return g.ID, err
		}
	}
	return 0, errOvertaken
}

// still makes sure that the generation is the given one and that no commit is
// going on. To ask for the generation is not enough: a commit shows its rules
// some time before it counts (seen on 6.18: dumps of two generations between two
// equal answers). So it begins a batch for that generation, which waits for any
// commit to end and is refused where the generation is another (ERESTART), and
// sends nothing in it: a batch without its end changes nothing.
func (c *Conn) still(generation uint32) error {
	guard := AppendU32(nil, batchGenID, generation)
	seq := c.NextSeq()
	begin := AppendMessage(nil, unix.NFNL_MSG_BATCH_BEGIN, 0, seq, unix.AF_UNSPEC, unix.NFNL_SUBSYS_NFTABLES, guard)
	if err := c.Send(begin); err != nil {
		return err
	}
	datagram, err := c.ReceiveNow()
	if err != nil {
		return err
	}
	return Messages(datagram, func(m Message) error {
		switch errno := AckErrno(m); {
		case m.Seq != seq || m.Type != unix.NLMSG_ERROR || errno == 0:
			return nil
		case errno == unix.ERESTART:
			return errOvertaken
		default:
			return errno
		}
	})
}
