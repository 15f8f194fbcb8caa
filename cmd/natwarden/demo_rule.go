package main

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os/exec"

	"github.com/coreos/go-iptables/iptables"
	"github.com/google/nftables"
	"github.com/google/nftables/binaryutil"
	"github.com/google/nftables/expr"
	"golang.org/x/sys/unix"

	"github.com/natwarden/natwarden/internal/lab"
)

// reverseNAT sets up the rule of the advisory in the demo's host and gives the
// line that does it. Where iptables is not installed it is made by netlink.
func reverseNAT(ctx context.Context, s *lab.Space) (string, error) {
	rule := []string{"-p", "tcp", "--dport", "80", "-j", "DNAT", "--to-destination", lab.BackendAddr + ":8080"}
	err := s.Do(ctx, func(context.Context) error {
		ipt, err := iptables.New(iptables.Timeout(5))
		if err != nil {
			return err
		}
		return ipt.Append("nat", "PREROUTING", rule...)
	})
	if err == nil {
		return "host# iptables -t nat -A PREROUTING -p tcp --dport 80 -j DNAT --to-destination " + lab.BackendAddr + ":8080", nil
	}
	if !errors.Is(err, exec.ErrNotFound) {
		return "", fmt.Errorf("adding the rule with iptables: %w", err)
	}
	if err := s.Do(ctx, func(context.Context) error { return addByNetlink() }); err != nil {
		return "", fmt.Errorf("adding the rule by netlink: %w", err)
	}
	return "iptables is not installed; made by netlink: nft add rule ip nat PREROUTING tcp dport 80 dnat to " + lab.BackendAddr + ":8080", nil
}

// addByNetlink makes table ip nat, chain PREROUTING (hook prerouting, priority
// dstnat) and the rule in the namespace of the calling thread.
func addByNetlink() error {
	c, err := nftables.New()
	if err != nil {
		return err
	}
	table := c.AddTable(&nftables.Table{Family: nftables.TableFamilyIPv4, Name: "nat"})
	chain := c.AddChain(&nftables.Chain{Name: "PREROUTING", Table: table, Type: nftables.ChainTypeNAT,
		Hooknum: nftables.ChainHookPrerouting, Priority: nftables.ChainPriorityNATDest})
	c.AddRule(&nftables.Rule{Table: table, Chain: chain, Exprs: []expr.Any{
		&expr.Meta{Key: expr.MetaKeyL4PROTO, Register: 1},
		&expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: []byte{unix.IPPROTO_TCP}},
		&expr.Payload{DestRegister: 1, Base: expr.PayloadBaseTransportHeader, Offset: 2, Len: 2}, // tcp dport
		&expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: binaryutil.BigEndian.PutUint16(80)},
		&expr.Immediate{Register: 1, Data: netip.MustParseAddr(lab.BackendAddr).AsSlice()},
		&expr.Immediate{Register: 2, Data: binaryutil.BigEndian.PutUint16(8080)},
		&expr.NAT{Type: expr.NATTypeDestNAT, Family: unix.NFPROTO_IPV4, RegAddrMin: 1, RegProtoMin: 2},
	}})
	return c.Flush()
}
