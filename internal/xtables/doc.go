// Package xtables reads x_tables, the kernel subsystem of iptables-legacy, for
// IPv4 and IPv6: whole tables by getsockopt, exactly as libiptc reads them, and
// decodes their entries into host.Table values. It also reads and writes the
// text format of iptables-save, for files and snapshots.
//
// Reading changes nothing: only tables that the kernel lists as present are
// asked for, because asking for another one creates it. No child process is
// run. Tables of arptables-legacy and ebtables-legacy are not decoded; where
// they hold rules, that is a host.Blind.
//
// Files: proc.go, socket.go, read.go fetch the tables; layout.go, walk.go,
// chains.go find entries and chains in them; decode*.go make the model;
// text.go and save.go write lines as iptables-save does; parse*.go read them.
// Changing tables is internal/xtables/edit. natwarden is a program, not a
// library; the package is internal on purpose.
package xtables
