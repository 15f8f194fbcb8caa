package tc

import (
	"encoding/binary"
	"errors"
	"slices"
)

// action is one action of a filter.
type action struct {
	kind    string
	options attrs
}

// TCA_ACT_* of include/uapi/linux/pkt_cls.h.
const (
	actKind    = 1
	actOptions = 2
	actCookie  = 6
	actFlags   = 7
)

// mostActions is TCA_ACT_MAX_PRIO: the kernel takes no more.
const mostActions = 32

func decodeActions(b []byte) ([]action, error) {
	all, err := list(b)
	if err != nil {
		return nil, err
	}
	if len(all) > mostActions {
		return nil, errors.New("it has more actions than the kernel takes")
	}
	var out []action
	for _, item := range all {
		a, err := parse(item.Data)
		if err != nil {
			return nil, err
		}
		options, err := parse(a[actOptions])
		if err != nil {
			return nil, err
		}
		out = append(out, action{a.text(actKind), options})
	}
	return out, nil
}

// neutral are actions that neither translate nor hand on: they drop, count,
// mark, tag or copy to a listener (act_*.c of net/sched).
func neutral(kind string) bool {
	return slices.Contains([]string{"gact", "police", "skbedit", "connmark", "ctinfo", "vlan", "csum", "sample", "simple", "gate"}, kind)
}

// skbeditMark is TCA_SKBEDIT_MARK of tc_skbedit.h.
const skbeditMark = 5

// sets says whether an action gives packets a mark, by which a policy rule may
// then route them.
func sets(a action) bool {
	_, marks := a.options[skbeditMark]
	return a.kind == "connmark" || a.kind == "ctinfo" || a.kind == "skbedit" && marks
}

// mirred is what mirred does (struct tc_mirred, include/uapi/linux/tc_act/tc_mirred.h).
type mirred struct {
	redirect bool
	ingress  bool // the packet appears as if it came in there
	ifindex  uint32
	block    uint32 // to all ports of a block
}

// The values of tc_mirred.eaction, and the attributes TCA_MIRRED_*.
const (
	egressRedirect  = 1
	egressMirror    = 2
	ingressRedirect = 3
	ingressMirror   = 4

	mirredParms = 2
	mirredBlock = 4
)

// sizeofGen is the size of tc_gen: index, capab, action, refcnt, bindcnt.
const sizeofGen = 20

func decodeMirred(a action) (mirred, error) {
	b := a.options[mirredParms]
	if len(b) < sizeofGen+8 {
		return mirred{}, errors.New("the parameters of mirred are too short")
	}
	m := mirred{ifindex: binary.NativeEndian.Uint32(b[sizeofGen+4:])}
	m.block, _ = a.options.u32(mirredBlock)
	switch binary.NativeEndian.Uint32(b[sizeofGen:]) {
	case egressRedirect:
		m.redirect = true
	case ingressRedirect:
		m.redirect, m.ingress = true, true
	case egressMirror:
	case ingressMirror:
		m.ingress = true
	default:
		return mirred{}, errors.New("mirred does something that is not known")
	}
	return m, nil
}

// ctNAT is TCA_CT_ACT_NAT in TCA_CT_ACTION (tc_ct.h): without it ct only tracks.
const (
	ctAction = 3
	ctNAT    = 1 << 3
)

// translates says whether a ct action is one that translates.
func translates(a action) bool {
	b := a.options[ctAction]
	return len(b) < 2 || binary.NativeEndian.Uint16(b)&ctNAT != 0
}

// actBPFID is TCA_ACT_BPF_ID of tc_bpf.h.
const actBPFID = 9
