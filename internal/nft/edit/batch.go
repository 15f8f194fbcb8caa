package edit

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"

	"golang.org/x/sys/unix"

	"github.com/natwarden/natwarden/internal/change"
	"github.com/natwarden/natwarden/internal/nft"
)

// batch is one transaction in the making: messages, and a model of what stands
// where after them, so that later steps find what earlier ones made.
type batch struct {
	view   *view
	chains map[*chainView]*chainModel
	sets   map[*nft.Set]*setModel
	names  map[*tableView]map[string]bool // of anonymous sets and chains in use
	ipsets *ipsets
	// proof is true of a batch that is not to be committed. The kernel looks for
	// a rule by walking the chain, so to name a place is what costs; and whether
	// a rule would be taken does not depend on its place.
	proof bool

	messages []byte
	seq      uint32
	owner    []int // sequence number to step
	last     int   // where the last message begins
	nextID   uint32

	tables map[tableKey]string // fingerprints of the tables that steps restored; "" is gone
	pieces []piece             // of those tables

	notes  []string
	undone map[int]string
}

// batchBegin is the sequence number of the message that begins the batch. What
// goes wrong with the batch as a whole is reported under it.
const batchBegin = 1

func newBatch(ctx context.Context, v *view) *batch {
	return &batch{
		view:   v,
		ipsets: newIPSets(ctx),
		chains: map[*chainView]*chainModel{},
		sets:   map[*nft.Set]*setModel{},
		names:  map[*tableView]map[string]bool{},
		seq:    batchBegin,
		owner:  []int{-1, -1},
		undone: map[int]string{},
	}
}

// add appends a message for a step.
func (b *batch) add(number int, message, flags uint16, family uint8, attrs []byte) {
	b.seq++
	b.owner = append(b.owner, number)
	b.last = len(b.messages)
	b.messages = nft.AppendMessage(b.messages, unix.NFNL_SUBSYS_NFTABLES<<8|message, flags, b.seq, family, 0, attrs)
}

// leave says that a step is not carried out.
func (b *batch) leave(number int, format string, args ...any) {
	if b.undone[number] == "" {
		b.undone[number] = fmt.Sprintf(format, args...)
	}
}

func (b *batch) id() uint32 {
	b.nextID++
	return b.nextID
}

// apply adds the messages of steps: rules first go, then come, each at its
// place among those that are there then; elements in the order given.
func (b *batch) apply(steps []step) error {
	touched := &phase{batch: b}
	for i := range steps {
		s := &steps[i]
		if o := s.Object(); o == nil || o.Backend != Backend {
			return fmt.Errorf("step %d is not one of nf_tables", s.number+1)
		}
		switch s.Object().Kind {
		case kindRule:
			touched.rule(s)
		case kindElement:
			b.element(s)
		case change.KindTable:
			b.table(s)
		default:
			return fmt.Errorf("step %d: objects of kind %q are unknown", s.number+1, s.Object().Kind)
		}
	}
	touched.finish()
	return nil
}

// answers is what the kernel said to a batch.
type answers struct {
	failed map[int]string // by step
	notes  []string
}

// send sends the batch. Without its end the kernel validates it and throws it
// away. It is refused as a whole (ErrStale) where the generation has changed.
func (b *batch) send(ctx context.Context, commit bool) (answers, error) {
	if len(b.messages) == 0 {
		return answers{}, nil
	}
	c, err := nft.Open(ctx)
	if err != nil {
		return answers{}, err
	}
	defer c.Close()
	if err := b.prepare(c); err != nil {
		return answers{}, err
	}
	return b.sendBy(ctx, c, commit)
}

// prepare makes a socket fit to send the batch by.
func (b *batch) prepare(c *nft.Conn) error {
	c.Reasons()
	// One send must hold the batch, the receive buffer an error for every message.
	return c.Buffers(2*len(b.messages)+1<<17, 1<<20+2048*int(b.seq))
}

func (b *batch) sendBy(ctx context.Context, c *nft.Conn, commit bool) (answers, error) {
	if err := c.Send(b.datagram(commit)); err != nil {
		return answers{}, fmt.Errorf("sending a batch of %d messages to nf_tables: %w", b.seq, err)
	}
	a, err := b.listen(ctx, c, commit)
	a.failed = b.bySteps(a.failed)
	return a, err
}

const batchGenID = 1 // NFNL_BATCH_GENID

func (b *batch) datagram(commit bool) []byte {
	guard := nft.AppendU32(nil, batchGenID, b.view.generation)
	out := nft.AppendMessage(make([]byte, 0, len(b.messages)+128), unix.NFNL_MSG_BATCH_BEGIN, 0, batchBegin, unix.AF_UNSPEC, unix.NFNL_SUBSYS_NFTABLES, guard)
	// Only the last message is acknowledged: one answer, however many messages.
	start := len(out)
	out = append(out, b.messages...)
	at := out[start+b.last+6:]
	binary.NativeEndian.PutUint16(at, binary.NativeEndian.Uint16(at)|unix.NLM_F_ACK)
	if commit {
		out = nft.AppendMessage(out, unix.NFNL_MSG_BATCH_END, 0, b.seq+1, unix.AF_UNSPEC, unix.NFNL_SUBSYS_NFTABLES, nil)
	}
	return out
}

// listen reads the answers, which are all there when the sending has returned.
func (b *batch) listen(ctx context.Context, c *nft.Conn, commit bool) (answers, error) {
	l := listener{batch: b, answers: answers{failed: map[int]string{}}}
	for {
		datagram, err := c.ReceiveNow()
		if errors.Is(err, unix.ENOBUFS) {
			continue // told once; what did fit follows
		}
		if err != nil {
			return l.answers, err
		}
		if datagram == nil {
			break
		}
		if err := nft.Messages(datagram, l.message); err != nil {
			return l.answers, err
		}
	}
	switch {
	case l.whole != nil:
		return l.answers, l.whole
	case l.acknowledged || len(l.failed) > 0 || !commit:
		return l.answers, nil
	}
	return b.lost(ctx, l.answers)
}

// lost decides by the generation whether a batch was committed whose answer
// did not arrive.
func (b *batch) lost(ctx context.Context, a answers) (answers, error) {
	g, err := nft.Generation(ctx)
	if err != nil {
		return a, err
	}
	if g == b.view.generation {
		return a, errors.New("applying to nf_tables: the kernel gave no answer, and nothing was changed")
	}
	a.notes = append(a.notes, "the kernel's answer was lost; the rules did change")
	return a, nil
}

// listener sorts answers by the step that they are about.
type listener struct {
	*batch
	answers
	acknowledged bool
	whole        error
}

func (l *listener) message(m nft.Message) error {
	if m.Type != unix.NLMSG_ERROR {
		return nil
	}
	errno := nft.AckErrno(m)
	switch {
	case errno == 0:
		l.acknowledged = true
	case m.Seq == batchBegin && errno == unix.ERESTART:
		l.whole = fmt.Errorf("applying to nf_tables: the generation is not %d any more: %w", l.view.generation, change.ErrStale)
	case m.Seq <= batchBegin || int(m.Seq) >= len(l.owner) || l.owner[m.Seq] < 0:
		if l.whole == nil {
			l.whole = fmt.Errorf("applying to nf_tables: the kernel refused the batch: %s", reason(m, errno))
		}
	default:
		if n := l.owner[m.Seq]; l.failed[n] == "" {
			l.failed[n] = reason(m, errno)
		}
	}
	return nil
}

// Flags and attributes of extended acknowledgements, include/uapi/linux/netlink.h.
const (
	ackTLVs    = 0x200 // NLM_F_ACK_TLVS
	ackMessage = 1     // NLMSGERR_ATTR_MSG
)

// reason is the error in words, with the kernel's own where it gives some.
func reason(m nft.Message, errno unix.Errno) string {
	const head = 4 + nft.MessageHead
	if m.Flags&ackTLVs != 0 && len(m.Body) > head {
		if words := nft.Text(nft.Find(m.Body[head:], ackMessage)); words != "" {
			return fmt.Sprintf("%s (%s)", errno, words)
		}
	}
	return errno.Error()
}
