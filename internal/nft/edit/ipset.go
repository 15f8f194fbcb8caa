package edit

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"strconv"

	"golang.org/x/sys/unix"

	"github.com/natwarden/natwarden/internal/nft"
)

// ipsets asks the kernel for the names and numbers of ipsets: an xt match
// "set" holds the number, which is another when the set was made anew. Only
// rules that use one make it ask, so the module is there.
type ipsets struct {
	ctx   context.Context
	known map[uint16]string
}

func newIPSets(ctx context.Context) *ipsets { return &ipsets{ctx: ctx, known: map[uint16]string{}} }

// The protocol of ipset, include/uapi/linux/netfilter/ipset/ip_set.h.
const (
	ipsetProtocol   = 7
	ipsetByName     = 14 // IPSET_CMD_GET_BYNAME
	ipsetByIndex    = 15 // IPSET_CMD_GET_BYINDEX
	ipsetAttrProto  = 1
	ipsetAttrName   = 2
	ipsetAttrIndex  = 11
	ipsetNoIndex    = 0xffff // IPSET_INVALID_ID
	ipsetHeadLength = 4      // struct xt_set_info
	ipsetHeadOld    = 32     // struct xt_set_info_v0
)

// namesIn gives the names of the ipsets that a rule and its belongings use.
func (s *ipsets) namesIn(r *nft.Rule, b belongings) (map[string]string, error) {
	var names map[string]string
	rules := []*nft.Rule{r}
	for _, c := range b.chains {
		rules = append(rules, c.Rules...)
	}
	for _, r := range rules {
		for _, index := range indices(r.Exprs) {
			name, err := s.name(index)
			if err != nil {
				return nil, err
			}
			if names == nil {
				names = map[string]string{}
			}
			names[strconv.Itoa(int(index))] = name
		}
	}
	return names, nil
}

// indices are the numbers of the ipsets in a rule.
func indices(exprs []byte) []uint16 {
	var out []uint16
	list, _ := nft.Expressions(exprs)
	for _, e := range list {
		info := nft.Find(e.Data, unix.NFTA_MATCH_INFO)
		for _, at := range indexOffsets(e.Name, e.Data) {
			if at+2 > len(info) {
				continue
			}
			if n := binary.NativeEndian.Uint16(info[at:]); n != ipsetNoIndex {
				out = append(out, n)
			}
		}
	}
	return out
}

// indexOffsets says where the data of an xt extension holds numbers of ipsets
// (include/uapi/linux/netfilter/xt_set.h). The attributes of matches and
// targets have the same types.
func indexOffsets(kind string, ext []byte) []int {
	name, rev := nft.Text(nft.Find(ext, unix.NFTA_MATCH_NAME)), nft.U32(nft.Find(ext, unix.NFTA_MATCH_REV))
	switch {
	case kind == "match" && name == "set":
		return []int{0}
	case kind != "target" || name != "SET":
		return nil
	case rev == 0:
		return []int{0, ipsetHeadOld}
	case rev < 3:
		return []int{0, ipsetHeadLength}
	}
	return []int{0, ipsetHeadLength, 2 * ipsetHeadLength}
}

func (s *ipsets) name(index uint16) (string, error) {
	if name, ok := s.known[index]; ok {
		return name, nil
	}
	attrs, err := s.ask(ipsetByIndex, ipsetAttrIndex, binary.BigEndian.AppendUint16(nil, index))
	if err != nil {
		return "", fmt.Errorf("asking for the name of ipset number %d: %w", index, err)
	}
	s.known[index] = nft.Text(nft.Find(attrs, ipsetAttrName))
	return s.known[index], nil
}

func (s *ipsets) index(name string) (uint16, error) {
	attrs, err := s.ask(ipsetByName, ipsetAttrName, append([]byte(name), 0))
	if errors.Is(err, unix.ENOENT) {
		return 0, fmt.Errorf("the ipset %q that it uses is gone: create it first", name)
	}
	if err != nil {
		return 0, fmt.Errorf("asking for the number of ipset %q: %w", name, err)
	}
	b := nft.Find(attrs, ipsetAttrIndex)
	if len(b) != 2 {
		return 0, fmt.Errorf("the kernel gave no number for ipset %q", name)
	}
	return binary.BigEndian.Uint16(b), nil
}

// ask sends one request and gives the attributes of the answer.
func (s *ipsets) ask(command, attr uint16, value []byte) (attrs []byte, err error) {
	c, err := nft.Open(s.ctx)
	if err != nil {
		return nil, err
	}
	defer c.Close()
	q := nft.AppendAttr(nil, ipsetAttrProto, []byte{ipsetProtocol})
	q = nft.AppendAttr(q, attr, value)
	if err := c.Send(nft.AppendMessage(nil, unix.NFNL_SUBSYS_IPSET<<8|command, 0, c.NextSeq(), unix.NFPROTO_IPV4, 0, q)); err != nil {
		return nil, err
	}
	datagram, err := c.Receive()
	if err != nil {
		return nil, err
	}
	err = nft.Messages(datagram, func(m nft.Message) error {
		switch {
		case m.Type == unix.NLMSG_ERROR:
			return ipsetError(nft.AckErrno(m))
		case len(m.Body) < nft.NetfilterHead:
			return nft.ErrTorn
		}
		attrs = m.Body[nft.NetfilterHead:]
		return nil
	})
	return attrs, err
}

// ipsetError keeps "no error" from being an error that is not nil.
func ipsetError(errno unix.Errno) error {
	if errno == 0 {
		return nil
	}
	return errno
}
