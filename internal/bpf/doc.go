// Package bpf finds eBPF programs that stand in the way of packets and
// connections (XDP, tcx, netkit, sk_lookup, cgroup hooks, netfilter links) and
// judges by their code whether they can redirect or rewrite. It loads nothing.
//
// Files: xdp.go, mprog.go, netns.go, cgroup.go and links.go list what is
// attached; program.go reads a program; judge.go, flow.go, step.go and
// helpers.go follow its code; held.go and pins.go say who keeps it; rows.go
// says it all in rows. It is no disassembler and no verifier: what it cannot follow is
// unknown.
package bpf
