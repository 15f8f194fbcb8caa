// Package xt decodes the matches and targets of x_tables from their kernel
// bytes (include/uapi/linux/netfilter/xt_*.h, netfilter_ipv4/ipt_*.h,
// netfilter_ipv6/ip6t_*.h, netfilter_bridge/ebt_*.h): the same bytes stand in
// iptables-legacy entries and in the "match" and "target" expressions that
// iptables-nft and ebtables-nft put into nf_tables.
//
// It reads no kernel and no file. What it does not understand it names and
// says so: a match that is not understood only narrows a rule, so it becomes
// a condition in words; a target that is not understood may redirect, so the
// caller must treat it as opaque.
//
// Files: match_*.go hold the matches and target_*.go the targets, by what they
// look at; data.go takes numbers from bytes within bounds; options.go writes
// option text as iptables-save does.
//
// natwarden is a program, not a library; the package is internal on purpose.
package xt
