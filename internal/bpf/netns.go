package bpf

import (
	"github.com/cilium/ebpf"

	"github.com/natwarden/natwarden/internal/netns"
)

// netns lists the programs of the namespace itself: those that choose a socket
// for a packet, and the flow dissector.
func (l *listing) netns() {
	h, err := netns.Current()
	if err != nil {
		l.unread("programs of the network namespace", err)
		return
	}
	defer h.Close()
	for kind, at := range map[string]ebpf.AttachType{SkLookup: ebpf.AttachSkLookup, FlowDissector: ebpf.AttachFlowDissector} {
		programs, err := query(h.Fd(), uint32(at))
		if unsupported(err) {
			continue
		}
		if err != nil {
			l.unread(kind+" programs", err)
			continue
		}
		for _, p := range programs {
			l.found = append(l.found, Attachment{Kind: kind, Type: uint32(at), Program: p.program})
		}
	}
}
