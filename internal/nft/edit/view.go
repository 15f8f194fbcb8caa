package edit

import (
	"context"
	"errors"
	"fmt"

	"golang.org/x/sys/unix"

	"github.com/natwarden/natwarden/internal/change"
	"github.com/natwarden/natwarden/internal/host"
	"github.com/natwarden/natwarden/internal/nft"
)

// families are the table families of nf_tables (NFPROTO_*).
var families = map[uint8]host.Family{
	unix.NFPROTO_INET:   host.Inet,
	unix.NFPROTO_IPV4:   host.IP,
	unix.NFPROTO_IPV6:   host.IP6,
	unix.NFPROTO_ARP:    host.ARP,
	unix.NFPROTO_BRIDGE: host.Bridge,
	unix.NFPROTO_NETDEV: host.Netdev,
}

func familyName(proto uint8) host.Family {
	if f, ok := families[proto]; ok {
		return f
	}
	return host.Family(fmt.Sprintf("family-%d", proto))
}

// view finds things in a dump.
type view struct {
	generation uint32
	tables     map[tableKey]*tableView
	order      []*tableView
}

type tableKey struct {
	family host.Family
	name   string
}

// tableView is a table with what has been looked up in it.
type tableView struct {
	*nft.Table
	printer *nft.Printer
	chains  map[string]*chainView
	sets    map[string]*nft.Set
}

// chainView is a chain with the fingerprints of its rules, in order.
type chainView struct {
	*nft.Chain
	table    *tableView
	prints   []string
	byHandle map[uint64]int
}

func (e editor) read(ctx context.Context) (*view, error) {
	d, err := e.dump(ctx)
	if err != nil {
		return nil, err
	}
	return viewOf(d), nil
}

// readOf gives the rules of a generation from which a batch is made that the
// same generation guards; where they are not kept, those of now.
func (e editor) readOf(ctx context.Context, generation uint32) (*view, error) {
	if d := e.keeper.Last(); d != nil && d.Generation == generation {
		return viewOf(d), nil
	}
	return e.read(ctx)
}

// dump reads what is there now. Rules that others change all the time make
// whatever was planned stale.
func (e editor) dump(ctx context.Context) (*nft.Dump, error) {
	d, err := e.keeper.Read(ctx)
	if errors.Is(err, nft.ErrRestless) {
		err = fmt.Errorf("%w: %w", err, change.ErrStale)
	}
	return d, err
}

func viewOf(d *nft.Dump) *view {
	v := &view{generation: d.Generation, tables: map[tableKey]*tableView{}}
	for _, t := range d.Tables {
		tv := &tableView{Table: t, printer: nft.NewPrinter(t), chains: map[string]*chainView{}, sets: map[string]*nft.Set{}}
		for _, c := range t.Chains {
			tv.chains[c.Name] = &chainView{Chain: c, table: tv}
		}
		for _, s := range t.Sets {
			tv.sets[s.Name] = s
		}
		v.tables[tableKey{familyName(t.Family), t.Name}] = tv
		v.order = append(v.order, tv)
	}
	return v
}

// chain finds the chain of an object; nil where it is gone.
func (v *view) chain(family host.Family, table, chain string) *chainView {
	if t := v.tables[tableKey{family, table}]; t != nil {
		return t.chains[chain]
	}
	return nil
}

// set finds a set with its table; nil where it is gone.
func (v *view) set(family host.Family, table, set string) (*tableView, *nft.Set) {
	t := v.tables[tableKey{family, table}]
	if t == nil {
		return nil, nil
	}
	return t, t.sets[set]
}

// fingerprints gives those of the chain's rules, made once.
func (c *chainView) fingerprints() []string {
	if c.prints == nil {
		c.prints = make([]string, len(c.Rules))
		for i, r := range c.Rules {
			c.prints[i] = c.table.printer.Rule(c.Chain, r)
		}
	}
	return c.prints
}

// find gives the place of a rule, from 0; -1 where it is gone.
func (c *chainView) find(handle uint64) int {
	if c.byHandle == nil {
		c.byHandle = make(map[uint64]int, len(c.Rules))
		for i, r := range c.Rules {
			c.byHandle[r.Handle] = i
		}
	}
	if i, ok := c.byHandle[handle]; ok {
		return i
	}
	return -1
}

// place says where the rule at i stands.
func (c *chainView) place(i int) change.Place {
	prints := c.fingerprints()
	p := change.Place{Index: i + 1}
	if i > 0 {
		p.Prev = prints[i-1]
	}
	if i+1 < len(prints) {
		p.Next = prints[i+1]
	}
	return p
}

// name is how messages call a chain.
func (c *chainView) name() string {
	return fmt.Sprintf("%s %s %s", familyName(c.table.Family), c.table.Name, c.Name)
}

// chainBinding is NFT_CHAIN_BINDING: the chain belongs to one rule.
const chainBinding = 4

func (c *chainView) anonymous() bool { return c.Flags&chainBinding != 0 }

// ruleName is how messages call a rule.
func ruleName(c *chainView, i int) string {
	return fmt.Sprintf("rule %d of %s (handle %d)", i+1, c.name(), c.Rules[i].Handle)
}
