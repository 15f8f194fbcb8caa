package path_test

import "github.com/vishvananda/netlink"

func vethAdd(name, peer string, ns int) error {
	return netlink.LinkAdd(&netlink.Veth{LinkAttrs: netlink.LinkAttrs{Name: name}, PeerName: peer, PeerNamespace: netlink.NsFd(ns)})
}
