package nft

import (
	"context"
	"errors"
	"fmt"

	"golang.org/x/sys/unix"
)

// Options says how much Read reads besides tables, chains, rules and sets.
type Options struct {
	// NoElements leaves the elements of sets out.
	NoElements bool
	// Objects reads stateful objects and flowtables into Table.Others.
	Objects bool
}

// attempts bounds how often a reading that was overtaken by a change starts
// again. Each begins when a commit has just ended, which is the best time.
const attempts = 20

// ErrRestless says that others change the rules faster than they can be read.
var ErrRestless = errors.New("the rules kept changing")

// errOvertaken says that the rules changed while they were read.
var errOvertaken = errors.New("the rules changed meanwhile")

// Read reads nf_tables of the network namespace of the calling thread, every
// family, as of one generation. It changes nothing and loads nothing: where
// nf_tables is not there, the dump is empty. The caller locks the thread.
func Read(ctx context.Context, o Options) (*Dump, error) {
	if !Loaded() {
		return &Dump{}, nil
	}
	for range attempts {
		d, err := readOnce(ctx, o)
		switch {
		case err == nil:
			return d, nil
		case errors.Is(err, ErrAbsent):
			return &Dump{}, nil
		case !errors.Is(err, errOvertaken):
			return nil, fmt.Errorf("reading nf_tables: %w", err)
		}
		if err := ctx.Err(); err != nil {
			return nil, fmt.Errorf("reading nf_tables: %w", err)
		}
	}
	return nil, fmt.Errorf("reading nf_tables: %w during %d attempts; find who changes them with `nft monitor` and try again", ErrRestless, attempts)
}

func readOnce(ctx context.Context, o Options) (*Dump, error) {
	c, err := Open(ctx)
	if err != nil {
		return nil, err
	}
	defer c.Close()
	generation, err := c.quiet()
	if err != nil {
		return nil, err
	}
	r := newReader(c)
	if err := r.readAll(ctx, o); err != nil {
		return nil, err
	}
	r.dump.Generation = generation
	return r.dump, c.still(generation)
}

// readAll reads what holds other things before the things in it.
func (r *reader) readAll(ctx context.Context, o Options) error {
	rules := func() error { return r.readRules(ctx) }
	steps := []func() error{r.readTables, r.readChains, rules, r.readSets}
	if !o.NoElements {
		steps = append(steps, r.readElements)
	}
	if o.Objects {
		steps = append(steps, r.readObjects, r.readFlowtables)
	}
	for _, step := range steps {
		if err := step(); err != nil {
			return err
		}
	}
	return nil
}

// dump asks for a dump and calls visit for each message of it, which may keep
// the attributes. A dump that the kernel marks as torn is read to its end.
func (c *Conn) dump(what uint16, family uint8, attrs []byte, visit func(family uint8, attrs []byte) error) error {
	seq := c.NextSeq()
	if err := c.Send(AppendMessage(nil, tables(what), unix.NLM_F_DUMP, seq, family, 0, attrs)); err != nil {
		return err
	}
	done, overtaken := false, false
	for !done {
		datagram, err := c.Receive()
		if err != nil {
			return err
		}
		err = Messages(datagram, func(m Message) error {
			if m.Seq != seq {
				return nil
			}
			overtaken = overtaken || m.Flags&unix.NLM_F_DUMP_INTR != 0
			switch m.Type {
			case unix.NLMSG_DONE, unix.NLMSG_ERROR:
				done = true
				return ended(m)
			}
			if len(m.Body) < NetfilterHead {
				return ErrTorn
			}
			return visit(m.Body[0], m.Body[NetfilterHead:])
		})
		if err != nil {
			return err
		}
	}
	if overtaken {
		return errOvertaken
	}
	return nil
}

// ended reads how a dump or request ended: both messages begin with an errno.
// What was there when it was asked for and is gone now was overtaken.
func ended(m Message) error {
	errno := AckErrno(m)
	if errno == unix.ENOENT || errno == unix.EAGAIN || errno == unix.EINTR {
		return errOvertaken
	}
	if errno != 0 {
		return errno
	}
	return nil
}

// tables is the netlink type of a message of nf_tables.
func tables(message uint16) uint16 { return unix.NFNL_SUBSYS_NFTABLES<<8 | message }
