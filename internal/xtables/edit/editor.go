package edit

import (
	"context"

	"github.com/natwarden/natwarden/internal/change"
	"github.com/natwarden/natwarden/internal/host"
	"github.com/natwarden/natwarden/internal/ipset"
	"github.com/natwarden/natwarden/internal/xt"
	"github.com/natwarden/natwarden/internal/xtables"
)

// editor is the change.Editor of x_tables.
type editor struct{ lockPath string }

// New makes the editor of x_tables. LockPath is the lock of iptables-legacy,
// "" for the usual one.
func New(lockPath string) change.Editor {
	if lockPath == "" {
		lockPath = defaultLock
	}
	return &editor{lockPath}
}

// Backend is "x_tables".
func (*editor) Backend() string { return xtables.Source }

// world is what one reading of the tables gave, taken apart.
type world struct {
	dump   *xtables.Dump
	tables map[tableKey]*table
	broken map[tableKey]error // tables that could not be taken apart
	order  []tableKey
}

type tableKey struct {
	family host.Family
	name   string
}

// look reads the tables and takes them apart.
func look(ctx context.Context) (*world, error) {
	d, err := xtables.Read(ctx)
	if err != nil {
		return nil, err
	}
	return take(d), nil
}

// env lets package xt write rules with the names of their ipsets.
func (w *world) env() xt.Env { return xt.Env{Sets: setNames(w.dump.SetNames)} }

// setNames are ipsets of which only the name is known.
type setNames map[uint16]string

// ByIndex gives the set with a kernel index.
func (s setNames) ByIndex(index uint16) (ipset.Set, bool) {
	name, ok := s[index]
	return ipset.Set{Name: name, Index: index, Unread: "its elements were not asked for"}, ok
}
