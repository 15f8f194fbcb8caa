package xt

import (
	"net/netip"
	"strings"

	"github.com/natwarden/natwarden/internal/host"
)

// divertTarget knows the targets that hand packets to somebody else without
// connection tracking.
func divertTarget(name string) act {
	switch name {
	case "TPROXY":
		return tproxyTarget
	case "NFQUEUE":
		return nfqueueTarget
	case "QUEUE":
		return queueTarget
	case "TEE":
		return teeTarget
	case "DNPT", "SNPT":
		return nptTarget
	}
	return nil
}

// tproxyTarget reads struct xt_tproxy_target_info (r0, IPv4) and _v1.
func tproxyTarget(d *data) Result {
	mask, mark := d.u32(0), d.u32(4)
	addr, port := d.v4(8), d.be16(12)
	switch d.rev {
	case 0:
	case 1:
		addr, port = d.addr(8), d.be16(24)
	default:
		d.refuse()
	}
	t := host.Target{PortLo: port, PortHi: port}
	if !addr.IsUnspecified() {
		t.Lo, t.Hi = addr, addr
	}
	marks := hex(mark) + "/" + hex(mask)
	e := host.Effect{Kind: "tproxy", To: []host.Target{t}, Evidence: []string{"tproxy-mark " + marks}}
	return d.target().add(false, "on-port", num(port)).add(false, "on-ip", addr.String()).
		add(false, "tproxy-mark", marks).does(host.Accept, e).
		sets(host.Assign{Field: host.FieldMark, Mask: mask, Value: mark})
}

// nfqueueTarget reads struct xt_NFQ_info, _v1, _v2 and _v3.
func nfqueueTarget(d *data) Result {
	first, total := d.u16(0), uint16(1)
	var flags uint16
	if d.rev > 3 {
		d.refuse()
	}
	if d.rev > 0 {
		total = d.u16(2)
	}
	if d.rev > 1 {
		flags = d.u16(4)
	}
	o := d.target()
	e := host.Effect{Kind: "queue", Evidence: []string{"queue " + num(first)}}
	if total > 1 {
		last := uint32(first) + uint32(total) - 1
		o.add(false, "queue-balance", num(first)+":"+num(last))
		e.Evidence = []string{"queues " + num(first) + "-" + num(last)}
	} else {
		o.add(false, "queue-num", num(first))
	}
	if flags&1 != 0 {
		o.add(false, "queue-bypass", "")
		e.Evidence = append(e.Evidence, "bypass: accepted while nobody listens on the queue")
	}
	return o.flag(d.rev > 2 && flags&2 != 0, "queue-cpu-fanout").does(host.Queue, e)
}

// queueTarget is the standard verdict NF_QUEUE, to queue 0.
func queueTarget(d *data) Result {
	return d.target().does(host.Queue, host.Effect{Kind: "queue", Evidence: []string{"queue 0"}})
}

// teeTarget reads struct xt_tee_tginfo: a copy goes to the gateway.
func teeTarget(d *data) Result {
	gateway, dev := d.addr(0), d.str(16, 16)
	o := d.target().add(false, "gateway", gateway.String())
	e := host.Effect{Kind: "dup", To: []host.Target{host.AddrTarget(gateway, 0)}}
	if dev != "" {
		o.add(false, "oif", bareName(dev))
		e.Evidence = []string{"out " + bareName(dev)}
	}
	return o.does(host.Continue, e)
}

// nptTarget reads struct ip6t_npt_tginfo: RFC 6296 prefix translation, without
// state. The destination (DNPT) or source (SNPT) gets the other prefix.
func nptTarget(d *data) Result {
	from, to, fromLen, toLen := d.v6(0), d.v6(16), int(d.u8(32)), int(d.u8(33))
	if fromLen > 64 || toLen > 64 { // ip6t_npt_checkentry
		d.refuse()
		return Result{}
	}
	prefix := netip.PrefixFrom(to, toLen).Masked()
	e := host.Effect{
		Kind:     "rewrite",
		Source:   d.name == "SNPT",
		To:       []host.Target{{Lo: prefix.Addr(), Hi: host.LastAddr(prefix), Prefix: true}},
		Evidence: []string{strings.ToLower(d.name) + " from " + netip.PrefixFrom(from, fromLen).String()},
	}
	return d.target().add(false, "src-pfx", netip.PrefixFrom(from, fromLen).String()).
		add(false, "dst-pfx", netip.PrefixFrom(to, toLen).String()).does(host.Continue, e)
}
