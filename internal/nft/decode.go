package nft

import (
	"bytes"
	"maps"
	"runtime"
	"sync"
	"time"

	"github.com/natwarden/natwarden/internal/host"
	"github.com/natwarden/natwarden/internal/xt"
)

// Env is what decoding needs to know about the namespace of the dump.
type Env struct {
	Sets   xt.Sets                   // ipsets; nil: they cannot be resolved
	Ifname func(index uint32) string // name of an interface, "" for none; nil: unknown
	Now    time.Time                 // against which absolute dates are held
	// Listing fills the text of every rule, not only of those with an effect.
	Listing bool
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
	t.sets = knownSets(raw)
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
	for i := range rules {
		c.Rules[i] = &rules[i]
	}
	t.inParts(len(rules), func(t *tableDecoder, from, to int) {
		m := &machine{t: t, chain: raw}
		prints := NewPrinter(t.raw)
		for i := from; i < to; i++ {
			out, r := &rules[i], raw.Rules[i]
			out.Handle, out.Index = r.Handle, i+1
			m.decode(r, out, branches[i:i:i+1])
			if out.Text != "" { // only what has an effect is ever looked for again
				out.Fingerprint = prints.Rule(raw, r)
			}
		}
	})
	return c
}

func knownSets(raw *Table) map[string]*knownSet {
	sets := make(map[string]*knownSet, len(raw.Sets))
	for _, s := range raw.Sets {
		sets[s.Name] = &knownSet{raw: s, anonymous: s.Flags&setAnonymous != 0}
	}
	return sets
}

// longChain is from how many rules on a chain is decoded on several processors.
const longChain = 4096

// inParts has work done for all rules of a chain: of a long one in parts side
// by side, each with a decoder of its own, whose answers are joined in order.
func (t *tableDecoder) inParts(rules int, work func(t *tableDecoder, from, to int)) {
	n := runtime.GOMAXPROCS(0)
	if rules < longChain || n == 1 {
		work(t, 0, rules)
		return
	}
	parts := make([]*tableDecoder, n)
	var wait sync.WaitGroup
	for i := range parts {
		part := *t
		part.decoder = &decoder{env: t.env}
		part.sets, part.out = knownSets(t.raw), &host.Table{Filled: map[string]bool{}}
		parts[i] = &part
		wait.Go(func() { work(&part, rules*i/n, rules*(i+1)/n) })
	}
	wait.Wait()
	for _, part := range parts {
		t.decoder.out.Blind = append(t.decoder.out.Blind, part.decoder.out.Blind...)
		maps.Copy(t.out.Filled, part.out.Filled)
	}
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
