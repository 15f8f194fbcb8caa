// Package nft reads nf_tables: whole tables of every family over raw netlink
// (NETLINK_NETFILTER, NFNL_SUBSYS_NFTABLES), and decodes rules into branches.
//
// Files: conn.go and dump.go read messages into a Dump and change nothing;
// decode*.go turn a Dump into host.Table values; text*.go write a rule in the
// language of its writer. Changing nf_tables is internal/nft/edit.
package nft
