package route

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"

	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"
)

// The kinds of objects that a Ref or Object of backend "rtnetlink" names in
// its Table.
const (
	KindRoute     = refRoute
	KindRule      = refRule
	KindNeighbour = refNeighbour
	KindSysctl    = refSysctl
)

// Object is one rtnetlink object for the editor: its bytes without what the
// kernel changes by itself, and what identifies it.
type Object struct {
	Kind        string
	Raw         []byte
	Fingerprint string
}

// Objects lists the local routes, rules and proxy neighbours that somebody made,
// of the namespace of the calling thread.
func Objects(ctx context.Context) ([]Object, error) {
	v, err := load(ctx)
	if err != nil {
		return nil, err
	}
	var out []Object
	for _, r := range v.routes {
		// What the kernel and router advertisements make comes and goes with links
		// and addresses: it is neither judged nor compared.
		// The routes of a rule's table are read only while a rule names it.
		if r.kind != unix.RTN_LOCAL || r.proto == unix.RTPROT_KERNEL || r.proto == unix.RTPROT_RA || v.natural(r) {
			continue
		}
		out = append(out, object(refRoute, r.raw))
	}
	for _, r := range v.rules {
		out = append(out, object(refRule, r.raw))
	}
	for _, n := range v.neighbours {
		out = append(out, object(refNeighbour, n.raw))
	}
	return out, nil
}

func object(kind string, b raw) Object {
	b = lasting(kind, b)
	return Object{kind, b, fingerprint(kind, b)}
}

func fingerprint(kind string, b []byte) string {
	sum := sha256.Sum256(append([]byte(kind+"\x00"), b...))
	return hex.EncodeToString(sum[:12])
}

// lasting leaves out the attributes that change by themselves: ages, use
// counts and timers.
func lasting(kind string, b raw) []byte {
	size, volatile := unix.SizeofRtMsg, uint16(unix.RTA_CACHEINFO)
	switch kind {
	case refNeighbour:
		size, volatile = unix.SizeofNdMsg, unix.NDA_CACHEINFO
	case refRule:
		return b
	}
	if len(b) < size {
		return b
	}
	attrs, err := netlink.UnmarshalAttributes(b[size:])
	if err != nil {
		return b
	}
	kept := attrs[:0]
	for _, a := range attrs {
		if a.Type != volatile {
			kept = append(kept, a)
		}
	}
	packed, err := netlink.MarshalAttributes(kept)
	if err != nil {
		return b
	}
	return append(bytes.Clone(b[:size]), packed...)
}
