// Package edit changes x_tables, the kernel subsystem of iptables-legacy. It
// takes rules out of their tables and puts them back byte for byte, matches
// that nobody can print included.
//
// A table is changed as libiptc changes it, without a child process: the
// kernel's own entries, less or more some rules, with jumps, hook entries and
// underflows relocated, are committed by one IPT_SO_SET_REPLACE; then
// IPT_SO_SET_ADD_COUNTERS gives every rule its counters back. All of it
// happens under the lock of iptables-legacy, and the tables are read again
// under it, so no iptables-legacy comes between; x_tables has no generation.
//
// natwarden is a program, not a library; the package is internal on purpose.
package edit
