package kmod

import (
	"strings"
	"testing"
)

func TestModulesThatMayBeAsked(t *testing.T) {
	m := Modules{modular: true, present: parse(
		[]byte("tcp_diag 16384 0 - Live 0x0000000000000000\ninet_diag 24576 1 tcp_diag, Live 0x0\n"),
		[]byte("kernel/net/ipv4/udp-diag.ko\n"))}
	for names, want := range map[string]bool{
		"inet_diag tcp_diag": true, "inet_diag udp_diag": true, "inet_diag sctp_diag": false, "": true,
	} {
		if got := m.Have(strings.Fields(names)...); got != want {
			t.Errorf("%s: %v, want %v", names, got, want)
		}
	}
	if !(Modules{}).Have("sctp_diag") {
		t.Error("a kernel without modules may be asked anything")
	}
	if Of("a").Have("a", "b") || !Of("a", "b").Have("a", "b") {
		t.Error("Of is not exactly what it says")
	}
}
