package bpf

import (
	"github.com/cilium/ebpf"
)

// errNotSupported is what cilium/ebpf says of a kernel without a feature.
var errNotSupported = ebpf.ErrNotSupported

// hook is a place that the kernel is asked about.
type hook struct {
	name string
	at   ebpf.AttachType
}

// chains lists the programs of a device's tcx and netkit hooks, in the order
// in which they run (BPF_PROG_QUERY with an interface index).
func (l *listing) chains(d device) {
	l.chain(d, TCX, hook{"ingress", ebpf.AttachTCXIngress})
	l.chain(d, TCX, hook{"egress", ebpf.AttachTCXEgress})
	if d.primary { // the other end may not be asked (netkit_dev_fetch)
		l.chain(d, Netkit, hook{"primary", ebpf.AttachNetkitPrimary})
		l.chain(d, Netkit, hook{"peer", ebpf.AttachNetkitPeer})
	}
}

func (l *listing) chain(d device, kind string, h hook) {
	programs, err := query(int(d.index), uint32(h.at))
	if unsupported(err) {
		return // no such hook in this kernel, or the device went away
	}
	a := Attachment{Kind: kind, Dev: d.name, Ifindex: d.index, Hook: h.name, Type: uint32(h.at), down: !d.up}
	if err != nil {
		l.unread(a.Place(), err)
		return
	}
	for _, p := range programs {
		a.Program, a.Link = p.program, p.link
		l.found = append(l.found, a)
	}
}
