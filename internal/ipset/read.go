package ipset

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

// Of include/uapi/linux/netfilter/ipset/ip_set.h and nfnetlink.h.
const (
	subsystem   = 6 // NFNL_SUBSYS_IPSET
	cmdProtocol = 1
	cmdList     = 7
	cmdByName   = 14

	protocolMin = 6 // the oldest protocol that this reader speaks
	protocolMax = 7 // the newest; from it on a listing carries the index
)

// patience bounds an exchange with the kernel whose context has no earlier end.
const patience = time.Minute

// Sets are the ipsets of one network namespace.
type Sets struct {
	sets    []Set
	byName  map[string]int
	byIndex map[uint16]int
}

// All gives every set, in the kernel's order.
func (s *Sets) All() []Set { return s.sets }

// ByIndex gives the set with the index that the kernel writes into rules.
func (s *Sets) ByIndex(index uint16) (Set, bool) {
	if s == nil {
		return Set{}, false
	}
	i, ok := s.byIndex[index]
	if !ok {
		return Set{}, false
	}
	return s.sets[i], true
}

// ByName gives the set with a name.
func (s *Sets) ByName(name string) (Set, bool) {
	if s == nil {
		return Set{}, false
	}
	i, ok := s.byName[name]
	if !ok {
		return Set{}, false
	}
	return s.sets[i], true
}

// Read reads all ipsets of the network namespace of the calling thread, which
// the caller has locked. It needs CAP_NET_ADMIN. Where the kernel has no ipset,
// or has not loaded it, there are no sets and there is no error.
func Read(ctx context.Context) (*Sets, error) {
	none := newSets(nil)
	if !loaded("/") {
		return none, nil
	}
	c, err := nlsock.Dial(unix.NETLINK_NETFILTER, nil)
	if absent(err) {
		return none, nil
	}
	if err != nil {
		return none, fmt.Errorf("opening a netlink socket to ipset: %w", err)
	}
	defer c.Close()
	stop, err := limit(ctx, c)
	if err != nil {
		return none, err
	}
	defer stop()
	sets, err := read(c)
	switch {
	case absent(err):
		return none, nil
	case ctx.Err() != nil:
		return none, fmt.Errorf("reading ipsets: %w", context.Cause(ctx))
	case err != nil:
		return none, fmt.Errorf("reading ipsets: %w", err)
	}
	return sets, nil
}

// absent says whether the error means that the kernel has no ipset. The answer
// of nfnetlink for a subsystem that is not there is EINVAL, for the first
// message that can be sent to it.
func absent(err error) bool {
	return errors.Is(err, unix.EPROTONOSUPPORT) || errors.Is(err, unix.EAFNOSUPPORT) || errors.Is(err, errNoSubsystem)
}

var errNoSubsystem = errors.New("the kernel has no ipset")

// limit lets every wait end with the context.
func limit(ctx context.Context, c *netlink.Conn) (stop func() bool, err error) {
	end := time.Now().Add(patience)
	if d, ok := ctx.Deadline(); ok && d.Before(end) {
		end = d
	}
	if err := c.SetDeadline(end); err != nil {
		return nil, fmt.Errorf("limiting the wait for ipset: %w", err)
	}
	return context.AfterFunc(ctx, func() { _ = c.SetDeadline(time.Unix(1, 0)) }), nil
}

func read(c *netlink.Conn) (*Sets, error) {
	protocol, err := askProtocol(c)
	if err != nil {
		return nil, err
	}
	answers, err := c.Execute(message(cmdList, netlink.Request|netlink.Dump, protocol, ""))
	if err != nil {
		return nil, fmt.Errorf("listing the sets: %w", err)
	}
	var l list
	for _, a := range answers {
		if err := l.add(a.Data); err != nil {
			return nil, err
		}
	}
	for i := range l.sets {
		if err := askIndex(c, protocol, &l.sets[i]); err != nil {
			return nil, err
		}
	}
	return newSets(l.sets), nil
}

// askProtocol asks which protocol the kernel speaks and gives the one to use.
func askProtocol(c *netlink.Conn) (uint8, error) {
	answers, err := c.Execute(message(cmdProtocol, netlink.Request, protocolMin, ""))
	if errors.Is(err, unix.EINVAL) || errors.Is(err, unix.ENOENT) || errors.Is(err, unix.EOPNOTSUPP) {
		return 0, errNoSubsystem
	}
	if err != nil {
		return 0, fmt.Errorf("asking for the protocol of ipset: %w", err)
	}
	newest, oldest := uint8(0), uint8(0)
	for _, a := range answers {
		if newest, oldest, err = parseProtocol(a.Data); err != nil {
			return 0, err
		}
	}
	if newest < protocolMin || oldest > protocolMax {
		return 0, fmt.Errorf("the kernel speaks ipset protocols %d to %d, natwarden %d to %d", oldest, newest, protocolMin, protocolMax)
	}
	return min(newest, protocolMax), nil
}

// askIndex asks for the index of a set whose listing had none.
func askIndex(c *netlink.Conn, protocol uint8, s *Set) error {
	if s.hasIndex || protocol < protocolMax {
		return nil
	}
	answers, err := c.Execute(message(cmdByName, netlink.Request, protocol, s.Name))
	if err != nil {
		return fmt.Errorf("asking for the index of ipset %q: %w", s.Name, err)
	}
	for _, a := range answers {
		if err := s.parseIndex(a.Data); err != nil {
			return err
		}
	}
	return nil
}

// message makes a request: struct nfgenmsg and the attributes PROTOCOL and, if
// there is a name, SETNAME.
func message(cmd uint8, flags netlink.HeaderFlags, protocol uint8, name string) netlink.Message {
	data := []byte{unix.AF_INET, 0, 0, 0}
	data = binary.NativeEndian.AppendUint16(data, 5)
	data = binary.NativeEndian.AppendUint16(data, attrProtocol)
	data = append(data, protocol, 0, 0, 0)
	if name != "" {
		data = binary.NativeEndian.AppendUint16(data, uint16(4+len(name)+1))
		data = binary.NativeEndian.AppendUint16(data, attrSetName)
		data = append(append(data, name...), make([]byte, 4-len(name)%4)...)
	}
	return netlink.Message{Header: netlink.Header{Type: subsystem<<8 | netlink.HeaderType(cmd), Flags: flags}, Data: data}
}

func newSets(sets []Set) *Sets {
	s := &Sets{sets: sets, byName: map[string]int{}, byIndex: map[uint16]int{}}
	for i := range sets {
		sets[i].ready()
		s.byName[sets[i].Name] = i
		if sets[i].hasIndex {
			s.byIndex[sets[i].Index] = i
		}
	}
	return s
}
