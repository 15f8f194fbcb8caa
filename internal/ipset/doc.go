// Package ipset reads the kernel's ipsets (nfnetlink subsystem 6,
// include/uapi/linux/netfilter/ipset/ip_set.h), so that a rule that names one
// is judged by what stands in it. It changes none and makes none.
//
// natwarden is a program, not a library; the package is internal on purpose.
package ipset
