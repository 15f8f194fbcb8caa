package tc

import (
	"context"
	"fmt"
	"slices"
)

// KindFilter is the kind of object that a Ref of backend "tc" names in its Table.
const KindFilter = "filter"

// Object is one filter for the editor: its message without what the kernel
// counts or numbers by itself, and what identifies it.
type Object struct {
	Place       string // "h0 ingress"
	Dev         string
	Raw         []byte // lasting message: struct tcmsg and attributes, as RTM_NEWTFILTER takes it
	Dumped      []byte // as the kernel gave it, with the handle that deletes it
	Fingerprint string
	Text        string
	Kind        string // of the classifier
	Program     uint32 // id of its eBPF program; 0: none
	Table       bool   // it is a hash table of u32, no filter
	Shared      bool   // it belongs to a block of several devices
	// Unrestorable says why Raw cannot put the filter back; "" where it can.
	Unrestorable string
}

// Filters lists the filters of the namespace of the calling thread, in the
// order in which the kernel asks them.
func Filters(ctx context.Context) ([]Object, error) {
	v, err := load(ctx)
	if err != nil {
		return nil, fmt.Errorf("reading tc filters: %w", err)
	}
	var out []Object
	for _, h := range v.filters {
		f, err := decodeFilter(h)
		if err != nil {
			return nil, fmt.Errorf("reading tc filters of %s: %w", v.ifname(h.dev), err)
		}
		if f.empty {
			continue
		}
		o, err := v.object(f)
		if err != nil {
			return nil, fmt.Errorf("reading tc filters of %s: %w", v.ifname(h.dev), err)
		}
		out = append(out, o)
	}
	return out, nil
}

func (v *view) object(f filter) (Object, error) {
	raw, err := lasting(f, v.lone(f))
	if err != nil {
		return Object{}, err
	}
	place := v.place(f)
	if f.isTable() {
		place += " tables"
	}
	o := Object{Place: place, Dev: v.ifname(f.dev), Raw: raw, Dumped: f.raw, Fingerprint: fingerprint(place, raw), Text: v.text(f), Kind: f.kind, Table: f.isTable(), Shared: f.block != 0}
	if f.kind == "bpf" {
		o.Program, _ = f.options.u32(bpfID)
	}
	o.Unrestorable = v.unrestorable(f)
	return o, nil
}

func (v *view) unrestorable(f filter) string {
	for _, a := range f.actions {
		if _, _, known := parts(a.kind); !known {
			return "how action " + a.kind + " is put back is not known"
		}
		if _, extended := a.options.u32(actBPFID); a.kind == "bpf" && extended {
			return "an eBPF program as action cannot be put back"
		}
	}
	if !slices.Contains([]string{"u32", "bpf", "basic", "flower", "matchall", "fw", "cgroup", "route"}, f.kind) {
		return "how classifier " + f.kind + " is put back is not known"
	}
	if f.kind == "u32" && !v.lone(f) {
		return "it stands among several hash tables of u32, which end with their last filter"
	}
	if f.kind == "u32" && len(f.options[u32Link]) > 0 {
		return "it links tables of u32 with each other"
	}
	return ""
}

// preference is where u32 tables stand together.
type preference struct {
	spot
	prio  uint16
	chain uint32
}

// countTables counts the u32 tables of each preference.
func (v *view) countTables() {
	v.tables = map[preference]int{}
	for _, h := range v.filters {
		f, err := decodeFilter(h)
		if err == nil && !f.empty && f.isTable() {
			v.tables[preference{f.spot, f.prio, f.chain}]++
		}
	}
}

// lone says whether the u32 table of a filter is the only one of its
// preference: the root, which the kernel makes by itself.
func (v *view) lone(f filter) bool { return v.tables[preference{f.spot, f.prio, f.chain}] <= 1 }
