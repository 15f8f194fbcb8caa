package tc

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"slices"

	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"
)

// Deletion is the body of the RTM_DELTFILTER that deletes a filter: place,
// preference, handle, chain and classifier. A cgroup classifier cannot be asked
// for by its handle (cls_cgroup_get finds none); without one the whole preference goes, of
// which it is all.
func Deletion(o Object) ([]byte, error) {
	if len(o.Dumped) < sizeofTcmsg {
		return nil, fmt.Errorf("deleting %s: %w", o.Text, errShort)
	}
	all, err := list(o.Dumped[sizeofTcmsg:])
	if err != nil {
		return nil, fmt.Errorf("deleting %s: %w", o.Text, err)
	}
	var kept []netlink.Attribute
	for _, a := range all {
		if a.Type == unix.TCA_KIND || a.Type == tcaChain {
			kept = append(kept, a)
		}
	}
	packed, err := pack(kept)
	header := bytes.Clone(o.Dumped[:sizeofTcmsg])
	if o.Kind == "cgroup" {
		clear(header[8:12])
	}
	return append(header, packed...), err
}

// Addition is the body of the RTM_NEWTFILTER that puts a filter back, from
// Object.Raw. The device is found by its name; program is the descriptor of its eBPF program, -1 for none.
func Addition(ctx context.Context, raw []byte, dev string, program int) ([]byte, error) {
	if len(raw) < sizeofTcmsg {
		return nil, errShort
	}
	out := bytes.Clone(raw[:sizeofTcmsg])
	if binary.NativeEndian.Uint32(out[4:]) != blockIndex {
		index, err := indexOf(ctx, dev)
		if err != nil {
			return nil, err
		}
		binary.NativeEndian.PutUint32(out[4:], index)
	}
	all, err := list(raw[sizeofTcmsg:])
	if err != nil {
		return nil, err
	}
	kind := ""
	for i := range all {
		switch {
		case all[i].Type == unix.TCA_KIND:
			kind = attrs{0: all[i].Data}.text(0)
		case all[i].Type != unix.TCA_OPTIONS:
		case program >= 0:
			all[i].Data, err = withProgram(all[i].Data, program)
		case kind == "flower":
			all[i].Data, err = withFrames(all[i].Data, uint16(binary.NativeEndian.Uint32(raw[16:])))
		}
		if err != nil {
			return nil, err
		}
	}
	packed, err := pack(all)
	return append(out, packed...), err
}

// withFrames makes the options of a flower filter what it is asked for with:
// the kernel shows what is inside a VLAN as the protocol of the frame
// (fl_dump_key), and takes it only as that of the VLAN (fl_set_key). The frame's own,
// in network order, is the filter's.
func withFrames(options []byte, frames uint16) ([]byte, error) {
	all, err := list(options)
	if err != nil {
		return nil, err
	}
	if !slices.ContainsFunc(all, func(a netlink.Attribute) bool { return slices.Contains(flowerVLAN(), a.Type) }) {
		return options, nil
	}
	all = slices.DeleteFunc(all, func(a netlink.Attribute) bool { return a.Type == flowerEthType })
	return pack(append(all, netlink.Attribute{Type: flowerEthType, Data: binary.NativeEndian.AppendUint16(nil, frames)}))
}

// withProgram names the program by descriptor. Its tag is for reading only.
func withProgram(options []byte, fd int) ([]byte, error) {
	all, err := list(options)
	if err != nil {
		return nil, err
	}
	kept := []netlink.Attribute{{Type: bpfFD, Data: binary.NativeEndian.AppendUint32(nil, uint32(fd))}}
	for _, a := range all {
		if a.Type != bpfTag && a.Type != bpfID && a.Type != bpfFD {
			kept = append(kept, a)
		}
	}
	return pack(kept)
}

func indexOf(ctx context.Context, dev string) (uint32, error) {
	c, err := dial(ctx)
	if err != nil {
		return 0, err
	}
	defer c.Close()
	v := &view{links: map[uint32]link{}}
	if err := v.loadLinks(c); err != nil {
		return 0, err
	}
	for index, l := range v.links {
		if l.name == dev {
			return index, nil
		}
	}
	return 0, fmt.Errorf("there is no interface %s", dev)
}
