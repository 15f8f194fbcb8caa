package xtables

import (
	"github.com/natwarden/natwarden/internal/host"
)

// Dump is x_tables of one network namespace as the kernel gave it.
type Dump struct {
	// Tables are the tables that exist, IPv4 first, in the kernel's order.
	Tables []*Table
	// SetNames are the names of the ipsets that entries refer to by index. An
	// index without a name here could not be resolved.
	SetNames map[uint16]string
	// Loaded is false where neither ip_tables nor ip6_tables is in the kernel.
	Loaded bool
	// Blind is what is there but could not be read.
	Blind []host.Blind
}

// Table is one table: the answers to IPT_SO_GET_INFO and IPT_SO_GET_ENTRIES
// (struct ipt_getinfo and ipt_get_entries, include/uapi/linux/netfilter_ipv4/ip_tables.h,
// and the same of ip6_tables.h).
type Table struct {
	Family     host.Family // IP or IP6
	Name       string
	ValidHooks uint32    // bits 1<<NF_INET_*
	HookEntry  [5]uint32 // offset in Blob of the first entry of each valid hook
	Underflow  [5]uint32 // offset in Blob of the entry that holds its policy
	Blob       []byte    // the entries, end to end
	Entries    []Entry   // where each of them is
}

// Entry is where a struct ipt_entry or ip6t_entry lies in the Blob of its
// table. All three are bytes.
type Entry struct {
	Offset uint32
	Size   uint16
	Target uint16 // offset of its target, from the start of the entry
}

// Raw gives the bytes of the entry at index i of t.Entries.
func (t *Table) Raw(i int) []byte {
	e := t.Entries[i]
	return t.Blob[e.Offset : e.Offset+uint32(e.Size) : e.Offset+uint32(e.Size)]
}

// Rules counts the rules of all tables: entries that are no chain head, no
// policy and no end mark. It is the figure for host.SourceState.
func (d *Dump) Rules() int {
	n := 0
	for _, t := range d.Tables {
		chains, err := t.Chains()
		if err != nil {
			n += len(t.Entries)
		}
		for _, c := range chains {
			n += c.End - c.First
		}
	}
	return n
}

// Source says what was looked at, for the report.
func (d *Dump) Source() host.SourceState {
	if !d.Loaded && len(d.Blind) == 0 {
		return host.SourceState{Name: Source, State: host.Absent, Why: "ip_tables and ip6_tables are not in the kernel"}
	}
	return host.SourceState{Name: Source, State: host.Read, Objects: d.Rules()}
}

// Source is the name of the subsystem in reports.
const Source = "x_tables"
