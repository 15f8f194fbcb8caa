package tc

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"slices"

	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"
)

// lasting is the filter's message without what the kernel counts or numbers by
// itself: statistics, use times, the numbers of actions and programs. It is what puts the
// filter back, and what its fingerprint is made of.
func lasting(f filter, lone bool) ([]byte, error) {
	header := bytes.Clone(f.raw[:sizeofTcmsg])
	if f.kind == "u32" && lone {
		// The table is the only one of its preference, the root: the kernel numbers
		// it anew when the preference is made again.
		binary.NativeEndian.PutUint32(header[8:], f.handle&u32Node)
	}
	all, err := list(f.raw[sizeofTcmsg:])
	if err != nil {
		return nil, err
	}
	var kept []netlink.Attribute
	for _, a := range all {
		switch a.Type {
		case unix.TCA_KIND, tcaChain:
			kept = append(kept, a)
		case unix.TCA_OPTIONS:
			if a.Data, err = f.lastingOptions(a.Data, lone); err != nil {
				return nil, err
			}
			kept = append(kept, a)
		}
	}
	packed, err := pack(kept)
	return append(header, packed...), err
}

// counters are the attributes of classifiers' options that count by themselves
// (TCA_*_PCNT) or change with every start (TCA_BPF_ID).
func (f filter) counters() []uint16 {
	switch f.kind {
	case "u32":
		return []uint16{9, 12} // and TCA_U32_PAD
	case "basic":
		return []uint16{5, 6}
	case "matchall":
		return []uint16{4, 5}
	case "flower":
		return []uint16{86}
	case "bpf":
		return []uint16{bpfID}
	}
	return nil
}

func (f filter) lastingOptions(b []byte, lone bool) ([]byte, error) {
	all, err := list(b)
	if err != nil {
		return nil, err
	}
	drop := f.counters()
	if f.kind == "u32" && lone {
		drop = append(drop, u32Hash)
	}
	var kept []netlink.Attribute
	holder, hasActions := actionAttr(f.kind)
	for _, a := range all {
		if slices.Contains(drop, a.Type) {
			continue
		}
		if a.Type == f.flagsAttr() && len(a.Data) == 4 {
			a.Data = binary.NativeEndian.AppendUint32(nil, binary.NativeEndian.Uint32(a.Data)&asked)
		}
		if hasActions && a.Type == holder {
			if a.Data, err = lastingActions(a.Data); err != nil {
				return nil, err
			}
		}
		kept = append(kept, a)
	}
	return pack(kept)
}

// asked are the flags that a filter may be added with; the kernel says by the
// others whether hardware took it (TCA_CLS_FLAGS_SKIP_HW, _SKIP_SW, _VERBOSE).
const asked = 1 | 2 | 16

func (f filter) flagsAttr() uint16 {
	return map[string]uint16{"u32": 11, "flower": 22, "matchall": 3, "bpf": 9}[f.kind]
}

func lastingActions(b []byte) ([]byte, error) {
	all, err := list(b)
	if err != nil {
		return nil, err
	}
	for i := range all {
		parts, err := list(all[i].Data)
		if err != nil {
			return nil, err
		}
		kind := ""
		var kept []netlink.Attribute
		for _, p := range parts {
			switch p.Type {
			case actKind:
				kind = attrs{0: p.Data}.text(0)
				kept = append(kept, p)
			case actCookie, actFlags:
				kept = append(kept, p)
			case actOptions:
				if p.Data, err = lastingParms(kind, p.Data); err != nil {
					return nil, err
				}
				kept = append(kept, p)
			}
		}
		if all[i].Data, err = pack(kept); err != nil {
			return nil, err
		}
	}
	return pack(all)
}

// parts are the attributes of an action's options: its parameters, which begin
// with struct tc_gen, and the times of use (TCA_*_PARMS, TCA_*_TM).
func parts(kind string) (parms, times uint16, known bool) {
	switch kind {
	case "mirred", "gact", "skbedit", "vlan", "bpf", "pedit", "tunnel_key", "skbmod", "sample":
		return 2, 1, true
	case "nat", "csum", "connmark", "ct":
		return 1, 2, true
	}
	return 0, 0, false
}

// lastingParms leaves out times and zeroes counts and, where nothing but the
// filter refers to the action, its number.
func lastingParms(kind string, b []byte) ([]byte, error) {
	parms, times, known := parts(kind)
	if !known {
		return b, nil
	}
	all, err := list(b)
	if err != nil {
		return nil, err
	}
	var kept []netlink.Attribute
	for _, a := range all {
		if a.Type == times || kind == "bpf" && a.Type == actBPFID {
			continue
		}
		if a.Type == parms && len(a.Data) >= sizeofGen {
			a.Data = bytes.Clone(a.Data)
			if binary.NativeEndian.Uint32(a.Data[12:]) <= 1 {
				clear(a.Data[0:4])
			}
			clear(a.Data[12:20])
		}
		kept = append(kept, a)
	}
	return pack(kept)
}

// fingerprint identifies a filter by place and content.
func fingerprint(place string, lasting []byte) string {
	b := bytes.Clone(lasting)
	if binary.NativeEndian.Uint32(b[4:]) != blockIndex {
		clear(b[4:8]) // the device has its name in place
	}
	sum := sha256.Sum256(append([]byte(place+"\x00"), b...))
	return hex.EncodeToString(sum[:12])
}
