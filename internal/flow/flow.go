package flow

import (
	"fmt"
	"net/netip"
	"strconv"
	"time"

	"github.com/natwarden/natwarden/internal/host"
)

// Tuple is one direction of a flow. Ports are 0 where the protocol has none.
type Tuple struct {
	Proto            host.Proto
	Src, Dst         netip.Addr
	SrcPort, DstPort uint16
}

// Flow is one conntrack entry.
type Flow struct {
	// Orig is the flow as its client sees it, Reply what comes back: who
	// answers is Reply's source.
	Orig, Reply Tuple
	Status      uint32        // IPS_* of nf_conntrack_common.h
	Zone        uint16        // 0 for none
	Mark        uint32        // 0 for none
	ID          uint32        // of the kernel; another entry for the same tuple has another
	Timeout     time.Duration // until the kernel forgets it when no packet comes
	// Key finds exactly this entry again: the payload of an IPCTNL_MSG_CT_DELETE
	// (struct nfgenmsg, then CTA_TUPLE_ORIG, CTA_ZONE and CTA_ID).
	Key []byte
}

// Translated says whether somebody else answers than whom the client asked.
func (f *Flow) Translated() bool {
	return f.Reply.Src != f.Orig.Dst || f.Reply.SrcPort != f.Orig.DstPort
}

// String writes "tcp 10.77.1.2:40000 -> 10.77.1.1:80 (answered by 10.77.2.2:8080)".
func (f *Flow) String() string {
	return fmt.Sprintf("%s %s -> %s (answered by %s)", f.Orig.Proto,
		f.end(f.Orig.Src, f.Orig.SrcPort), f.end(f.Orig.Dst, f.Orig.DstPort), f.end(f.Reply.Src, f.Reply.SrcPort))
}

func (f *Flow) end(a netip.Addr, port uint16) string {
	switch {
	case !f.Orig.Proto.HasPorts():
		return a.String()
	case a.Is6():
		return "[" + a.String() + "]:" + strconv.Itoa(int(port))
	}
	return a.String() + ":" + strconv.Itoa(int(port))
}
