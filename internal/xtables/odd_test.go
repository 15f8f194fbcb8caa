package xtables_test

import (
	"bytes"
	"encoding/binary"
	"testing"

	"github.com/natwarden/natwarden/internal/host"
	"github.com/natwarden/natwarden/internal/xt"
	"github.com/natwarden/natwarden/internal/xtables"
)

// firstMatch decodes the first rule of PREROUTING after a change of its
// struct ipt_ip, as a program that is not iptables may write it.
func firstMatch(t *testing.T, change func(ip []byte)) host.Match {
	t.Helper()
	table := blobs(t)[host.IP]
	table.Blob = bytes.Clone(table.Blob)
	change(table.Blob[table.HookEntry[0]:])
	tables, _ := xtables.Decode(&xtables.Dump{Tables: []*xtables.Table{table}}, xt.Env{})
	return tables[0].Chains[0].Rules[0].Branches[0].Match
}

// Offsets in struct ipt_ip (include/uapi/linux/netfilter_ipv4/ip_tables.h).
const (
	ipIn, ipInMask  = 16, 48
	ipProto, ipInv  = 80, 83
	notIn, notProto = 0x01, 0x40
)

func TestAProtocolThatNoPacketHas(t *testing.T) {
	m := firstMatch(t, func(ip []byte) { binary.NativeEndian.PutUint16(ip[ipProto:], 300) })
	if !m.Impossible() {
		t.Errorf("protocol 300 is taken for %+v", m)
	}
	m = firstMatch(t, func(ip []byte) {
		binary.NativeEndian.PutUint16(ip[ipProto:], 300)
		ip[ipInv] |= notProto
	})
	if m.Protos.Empty() {
		t.Errorf("every protocol but 300 is taken for %+v", m)
	}
}

// The kernel compares what the mask says, wherever in the name that is.
func TestAMaskThatLeavesTheBeginningOfANameOut(t *testing.T) {
	m := firstMatch(t, func(ip []byte) {
		copy(ip[ipIn:], "eth0\x00")
		copy(ip[ipInMask:], "\x00\xff\xff\xff\xff")
		ip[ipInv] |= notIn
	})
	if m.Dead != "" || len(m.Conditions) == 0 {
		t.Errorf("got %+v", m)
	}
}
