// Package ipvs reads the kernel's load balancer (IP Virtual Server): services,
// by address or by packet mark, and where each of them leads. It asks nothing
// where ip_vs is not loaded, so that no audit loads it.
//
// Files: read.go asks by generic netlink, decode.go takes the answers apart,
// proc.go reads /proc/net/ip_vs to compare, rows.go makes rows of the report,
// makers.go says who makes services here, text.go writes a service as ipvsadm(8)
// would; lasting.go and export.go serve the editor.
//
// Reading changes nothing. natwarden is a program, not a library.
package ipvs
