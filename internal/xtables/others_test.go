package xtables_test

import (
	"context"
	"encoding/binary"
	"strings"
	"testing"

	"github.com/natwarden/natwarden/internal/host"
	"github.com/natwarden/natwarden/internal/lab/labtest"
	"github.com/natwarden/natwarden/internal/xtables"
)

// Options of include/uapi/linux/netfilter_arp/arp_tables.h, and sizes of its structs.
const (
	arpReplace = 96 // ARPT_SO_SET_REPLACE
	arpInfo    = 96 // ARPT_SO_GET_INFO
	arpEntries = 97 // ARPT_SO_GET_ENTRIES
)

// The rules of arptables-legacy are not decoded: a table with policies alone
// is fine, one with a rule is blind.
func TestRulesOfArptablesAreBlind(t *testing.T) {
	s := labtest.New(t)
	var info, entries []byte
	s.MustDo(t, func(context.Context) error {
		sock, err := xtables.OpenSocket(host.IP)
		if err != nil {
			return err
		}
		defer sock.Close()
		info = make([]byte, 32+4+12+12+8)
		copy(info, "filter")
		if _, err := sock.Get(arpInfo, info); err != nil {
			t.Skipf("this kernel has no arptables: %v", err)
		}
		size := binary.NativeEndian.Uint32(info[64:])
		entries = make([]byte, 40+size)
		copy(entries, "filter")
		binary.NativeEndian.PutUint32(entries[32:], size)
		_, err = sock.Get(arpEntries, entries)
		return err
	})
	if d := read(t, s); len(d.Blind) != 0 {
		t.Errorf("without a rule: %v", d.Blind)
	}
	s.MustDo(t, func(context.Context) error {
		sock, err := xtables.OpenSocket(host.IP)
		if err != nil {
			return err
		}
		defer sock.Close()
		return sock.Set(arpReplace, arpWithOneRule(info, entries[40:]))
	})
	if d := read(t, s); len(d.Blind) != 1 || d.Blind[0].What != "arp filter" || !strings.Contains(d.Blind[0].Why, "arptables-legacy") {
		t.Errorf("with a rule: %+v", d.Blind)
	}
}

// arpWithOneRule makes struct arpt_replace: the first entry, a policy, stands
// twice, once as a rule.
func arpWithOneRule(info, entries []byte) []byte {
	first := entries[:binary.NativeEndian.Uint16(entries[166:])] // next_offset of struct arpt_entry
	shift := uint32(len(first))
	m := make([]byte, 32+12+24+4+8)
	m = append(m, 0, 0, 0, 0, 0, 0, 0, 0)[:80]
	copy(m, "filter")
	n := binary.NativeEndian.Uint32(info[60:])
	put := func(at int, v uint32) { binary.NativeEndian.PutUint32(m[at:], v) }
	put(32, binary.NativeEndian.Uint32(info[32:]))
	put(36, n+1)
	put(40, uint32(len(entries))+shift)
	for hook := range 3 {
		entry, underflow := binary.NativeEndian.Uint32(info[36+4*hook:]), binary.NativeEndian.Uint32(info[48+4*hook:])
		if entry != 0 {
			entry += shift
		}
		put(44+4*hook, entry)
		put(56+4*hook, underflow+shift)
	}
	put(68, n)
	counted := make([]byte, 16*n)
	m = xtables.WithPointer(m, 72, counted)
	return append(append(m, first...), entries...)
}
