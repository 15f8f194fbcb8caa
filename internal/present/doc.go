// Package present names the mechanisms that could answer for another machine,
// that the kernel shows as present in a namespace, and that natwarden does not
// judge: each is a blind spot, since silence would be read as "nothing there".
//
// Files, one for each mechanism: kernel.go families of generic netlink (Open
// vSwitch, Jool), lwtunnel.go routes that wrap packets, mpls.go labels, xdp.go
// AF_XDP sockets, tun.go programs behind TUN and TAP devices, flowtable.go
// offloaded flows. Programs of sockmaps and tc actions are named by their own
// sources (internal/bpf, internal/tc).
//
// It judges nothing, changes nothing and loads no module. natwarden is a
// program, not a library.
package present
