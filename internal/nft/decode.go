package nft

import (
	"bytes"
	"maps"
	"time"

	"github.com/natwarden/natwarden/internal/host"
	"github.com/natwarden/natwarden/internal/xt"
)

// Env is what decoding needs to know about the namespace of the dump.
type Env struct {
	Sets   xt.Sets                   // ipsets; nil: they cannot be resolved
	Ifname func(index uint32) string // name of an interface, "" for none; nil: unknown
	Now    time.Time                 // against which absolute dates are held
}

// Decoded is a dump in the terms of the model.
type Decoded struct {
	Tables []*host.Table
	// Blind holds an entry for each rule that was not understood, and nothing else.
	Blind []host.Blind
}

// Decode says what each rule of a dump takes and does. It never fails: what
// is not understood stands in the rule's Opaque and in Blind.
//
// The matches of a table of family ip or ip6 leave Match.Family empty, since
// every packet there is of that family; a Match in an inet, bridge or netdev
// table names the family where the rule asks for one.
func Decode(d *Dump, env Env) Decoded {
	dec := &decoder{env: env}
	for _, t := range d.Tables {
		dec.out.Tables = append(dec.out.Tables, dec.table(t))
	}
	return dec.out
}

// decoder carries what all tables share.
type decoder struct {
	env      Env
	out      Decoded
	branches int // of all rules so far
}

// tableDecoder is one table being decoded.
type tableDecoder struct {
	*decoder
	raw    *Table
	out    *host.Table
	family host.Family
	sets   map[string]*knownSet
	anon   map[string]bool // chains that belong to one rule
	// dynamic are the sets that packets fill. Filled of the table adds the ipsets.
	dynamic map[string]bool
	mine    bool // the chains look like those that iptables or ebtables makes
}

func (d *decoder) table(raw *Table) *host.Table {
	t := &tableDecoder{decoder: d, raw: raw, family: familyOf(raw.Family)}
	t.out = &host.Table{Backend: "nf_tables", Family: t.family, Name: raw.Name, Owner: raw.Owner,
		Dormant: raw.Flags&tableDormant != 0, Filled: map[string]bool{}}
	t.dynamic = t.filled()
	maps.Copy(t.out.Filled, t.dynamic)
	t.sets = make(map[string]*knownSet, len(raw.Sets))
	for _, s := range raw.Sets {
		t.sets[s.Name] = &knownSet{raw: s, anonymous: s.Flags&setAnonymous != 0}
	}
	t.anon = map[string]bool{}
	for _, c := range raw.Chains {
		if c.Flags&chainBinding != 0 {
			t.anon[c.Name] = true
		}
	}
	t.mine = t.looksLikeXtables()
	for _, c := range raw.Chains {
		t.out.Chains = append(t.out.Chains, t.chain(c))
	}
	return t.out
}

func (t *tableDecoder) chain(raw *Chain) *host.Chain {
	c := &host.Chain{Name: raw.Name, Handle: raw.Handle, Base: t.base(raw), Anonymous: raw.Flags&chainBinding != 0}
	rules := make([]host.Rule, len(raw.Rules))
	branches := make([]host.Branch, len(raw.Rules))
	c.Rules = make([]*host.Rule, len(raw.Rules))
	m := &machine{t: t, chain: raw}
	prints := NewPrinter(t.raw)
	for i, r := range raw.Rules {
		out := &rules[i]
		c.Rules[i] = out
		out.Handle, out.Index = r.Handle, i+1
		out.Fingerprint = prints.Rule(raw, r)
		m.decode(r, out, branches[i:i:i+1])
	}
	return c
}

func (t *tableDecoder) base(raw *Chain) *host.Base {
	if raw.Hook == nil {
		return nil
	}
	b := &host.Base{Hook: hookName(t.raw.Family, raw.Hook.Num), Priority: int(raw.Hook.Priority),
		Type: raw.Type, Policy: "accept", Devices: raw.Hook.Devices}
	if raw.Policy == 0 {
		b.Policy = "drop"
	}
	return b
}

// filled finds the sets that packets fill, before any rule that looks into
// them is decoded.
func (t *tableDecoder) filled() map[string]bool {
	filled := map[string]bool{}
	for _, c := range t.raw.Chains {
		for _, r := range c.Rules {
			if bytes.Contains(r.Exprs, []byte("dynset\x00")) {
				fillsOf(r.Exprs, filled)
			}
		}
	}
	return filled
}

func fillsOf(exprs []byte, filled map[string]bool) {
	eachExpr(exprs, func(name, data []byte) {
		var f fields
		if string(name) != "dynset" {
			return
		}
		f.read(data)
		if f.u32(3) != dynsetDelete {
			filled[f.text(1)] = true
		}
	})
}

// From include/uapi/linux/netfilter/nf_tables.h.
const (
	tableDormant = 0x1 // NFT_TABLE_F_DORMANT
	chainBinding = 0x4 // NFT_CHAIN_BINDING
	dynsetDelete = 2   // NFT_DYNSET_OP_DELETE
)

func familyOf(number uint8) host.Family {
	switch number {
	case 1:
		return host.Inet
	case 2:
		return host.IP
	case 3:
		return host.ARP
	case 5:
		return host.Netdev
	case 7:
		return host.Bridge
	case 10:
		return host.IP6
	}
	return host.Family("family " + itoa(int(number)))
}

// Hook numbers: NF_INET_*, NF_ARP_*, NF_BR_*, NF_NETDEV_* of include/uapi/linux.
var (
	inetHooks   = []string{"prerouting", "input", "forward", "output", "postrouting", "ingress"}
	bridgeHooks = []string{"prerouting", "input", "forward", "output", "postrouting", "brouting"}
	arpHooks    = []string{"input", "output", "forward"}
	netdevHooks = []string{"ingress", "egress"}
)

func hookName(family uint8, number uint32) string {
	names := inetHooks
	switch family {
	case 3:
		names = arpHooks
	case 5:
		names = netdevHooks
	case 7:
		names = bridgeHooks
	}
	if int(number) < len(names) {
		return names[number]
	}
	return "hook " + itoa(int(number))
}
