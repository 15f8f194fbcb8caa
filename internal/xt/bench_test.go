package xt_test

import (
	"testing"

	"github.com/natwarden/natwarden/internal/host"
	"github.com/natwarden/natwarden/internal/xt"
)

func BenchmarkMatch(b *testing.B) {
	e := xt.Ext{Family: host.IP, Name: "comment", Info: append([]byte("some comment of usual length"), make([]byte, 228)...)}
	for b.Loop() {
		xt.Match(e, xt.Env{})
	}
}

func BenchmarkTarget(b *testing.B) {
	e := xt.Ext{Family: host.IP, Name: "DNAT", Revision: 2, Info: range2(3, "10.0.5.1", "10.0.5.1", 0, 80, 0, 80)}
	for b.Loop() {
		xt.Target(e, xt.Env{})
	}
}
