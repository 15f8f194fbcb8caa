// Package flow reads the translated flows of conntrack over raw netlink
// (NFNL_SUBSYS_CTNETLINK, include/uapi/linux/netfilter/nfnetlink_conntrack.h)
// and says which of them ride a rule. A flow outlives the rule that made it, so
// removing a rule is not done before its flows are cut: that is internal/flow/edit.
//
// Files: conn.go and dump.go read, decode.go decodes, riding.go judges. Nothing
// here changes a flow. natwarden is a program, not a library.
package flow
