package bpf

import (
	"fmt"
	"slices"
	"strings"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
)

// Judgement is what a program's code shows. Harmless is proven; what is not
// proven may redirect or rewrite.
type Judgement struct {
	Harmless bool
	Why      string // in words: how it was decided, or what keeps it from being proven
}

// xdpTX and xdpRedirect are the verdicts of XDP that send a packet elsewhere
// (enum xdp_action, include/uapi/linux/bpf.h).
const (
	xdpTX       = 3
	xdpRedirect = 4
	tcRedirect  = 7 // TC_ACT_REDIRECT, include/uapi/linux/pkt_cls.h
)

// judge follows the code of a program. Where any program replaces functions of
// others (freplace), code with functions that can be replaced proves nothing.
func judge(t ebpf.ProgramType, code asm.Instructions, names func(int64) []string, replacing bool) Judgement {
	w := follow(code, names)
	slices.Sort(w.calls)
	var bad []string
	for _, c := range w.calls {
		if !inert(c) {
			bad = append(bad, c)
		}
	}
	switch {
	case len(bad) > 0:
		return Judgement{Why: "it calls " + strings.Join(bad, ", ")}
	case w.gaveUp != "":
		return Judgement{Why: w.gaveUp}
	case w.writes:
		return Judgement{Why: "it writes through a pointer that is neither its stack nor a map: packets, their metadata or addresses may change"}
	case replacing:
		return Judgement{Why: "a program that replaces functions of others (freplace) is loaded, so its own code proves nothing"}
	case !w.ended:
		return Judgement{Why: "no end of its code was found"}
	}
	if why := verdictOf(t, w.returns); why != "" {
		return Judgement{Why: why}
	}
	return Judgement{Harmless: true, Why: w.said(t)}
}

// verdictOf says what in the returned verdicts may send a packet elsewhere; ""
// for nothing. Of tc and netkit a redirect needs a helper besides, so that a computed class is harmless.
func verdictOf(t ebpf.ProgramType, returns value) string {
	switch t {
	case ebpf.XDP:
		if returns.sort != number {
			return "what it returns is computed, so that it may send packets back or elsewhere"
		}
		if slices.Contains(returns.numbers, xdpTX) || slices.Contains(returns.numbers, xdpRedirect) {
			return "it may return XDP_TX or XDP_REDIRECT"
		}
	case ebpf.SchedCLS, ebpf.SchedACT:
		if returns.sort == number && slices.Contains(returns.numbers, tcRedirect) {
			return "it may return TC_ACT_REDIRECT"
		}
	case ebpf.SkLookup, ebpf.Netfilter, ebpf.CGroupSockAddr, ebpf.CGroupSock, ebpf.SockOps:
	default:
		return fmt.Sprintf("programs of type %s are not judged by their code", t)
	}
	return ""
}

// said is how it was decided that the program is harmless.
func (w *walk) said(t ebpf.ProgramType) string {
	calls := "nothing"
	if len(w.calls) > 0 {
		calls = strings.Join(w.calls, ", ")
	}
	returns := "a computed verdict"
	if w.returns.sort == number {
		var names []string
		for _, n := range w.returns.numbers {
			names = append(names, verdictName(t, n))
		}
		returns = "only " + strings.Join(names, ", ")
	}
	return fmt.Sprintf("its code (%d instructions) cannot redirect or rewrite: it calls %s; writes only its stack and maps; returns %s", len(w.code), calls, returns)
}

func verdictName(t ebpf.ProgramType, n int64) string {
	names := map[int64]string{}
	switch t {
	case ebpf.XDP:
		names = map[int64]string{0: "XDP_ABORTED", 1: "XDP_DROP", 2: "XDP_PASS"}
	case ebpf.SchedCLS, ebpf.SchedACT:
		names = map[int64]string{-1: "TC_ACT_UNSPEC", 0: "TC_ACT_OK", 1: "TC_ACT_RECLASSIFY", 2: "TC_ACT_SHOT", 3: "TC_ACT_PIPE"}
	case ebpf.Netfilter:
		names = map[int64]string{0: "NF_DROP", 1: "NF_ACCEPT"}
	case ebpf.SkLookup:
		names = map[int64]string{0: "SK_DROP", 1: "SK_PASS"}
	}
	if name, ok := names[n]; ok {
		return name
	}
	return fmt.Sprint(n)
}
