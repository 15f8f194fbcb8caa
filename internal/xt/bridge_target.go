package xt

import (
	"strings"

	"github.com/natwarden/natwarden/internal/host"
)

// bridgeTarget knows the targets of ebtables.
func bridgeTarget(name string) act {
	switch name {
	case "redirect":
		return ebtRedirect
	case "dnat", "snat":
		return ebtNAT
	case "mark":
		return ebtMark
	case "arpreply":
		return ebtARPReply
	case "log":
		return ebtLog
	case "nflog":
		return ebtNFLog
	case "standard":
		return ebtStandard
	}
	return nil
}

// ebtVerdict reads EBT_ACCEPT -1, EBT_DROP -2, EBT_CONTINUE -3, EBT_RETURN -4.
func (d *data) ebtVerdict(off int) (host.Verdict, string) {
	switch int32(d.u32(off)) | -16 { // the low four bits count: EBT_VERDICT_BITS
	case -1:
		return host.Accept, "ACCEPT"
	case -2:
		return host.Drop, "DROP"
	case -3:
		return host.Continue, "CONTINUE"
	case -4:
		return host.Return, "RETURN"
	}
	d.refuse()
	return host.Uncertain, ""
}

// ebtRedirect reads struct ebt_redirect_info: the frame is taken by this host.
func ebtRedirect(d *data) Result {
	v, name := d.ebtVerdict(0)
	e := host.Effect{Kind: "mac-redirect", To: []host.Target{{}}, Evidence: []string{"the frame goes to this host's own MAC"}}
	return d.target().optional(v != host.Accept, "redirect-target", name).does(v, e)
}

// ebtNAT reads struct ebt_nat_info: another destination or source MAC.
func ebtNAT(d *data) Result {
	v, name := d.ebtVerdict(8)
	addr := mac(d.bytes(0, 6))
	if d.name == "snat" {
		e := host.Effect{Kind: "mac-redirect", Source: true, Evidence: []string{"source MAC " + addr}}
		return d.target().add(false, "to-src", addr).flag(d.u32(8)&0x10 == 0, "snat-arp").
			add(false, "snat-target", name).does(v, e)
	}
	e := host.Effect{Kind: "mac-redirect", Evidence: []string{"destination MAC " + addr}}
	return d.target().add(false, "to-dst", addr).add(false, "dnat-target", name).does(v, e)
}

// ebtMark reads struct ebt_mark_t_info: the upper bits say what to do.
func ebtMark(d *data) Result {
	v, name := d.ebtVerdict(8)
	option := map[uint32]string{0xf0: "mark-set", 0xe0: "mark-or", 0xd0: "mark-and", 0xc0: "mark-xor"}[d.u32(8)&0xf0]
	if option == "" {
		d.refuse()
	}
	return d.target().add(false, option, hex(uint32(d.u64(0)))).add(false, "mark-target", name).does(v)
}

// ebtARPReply reads struct ebt_arpreply_info: this host answers ARP requests
// with a MAC, so that traffic goes there.
func ebtARPReply(d *data) Result {
	v, name := d.ebtVerdict(8)
	addr := mac(d.bytes(0, 6))
	e := host.Effect{Kind: "mac-redirect", Evidence: []string{"answers ARP requests with MAC " + addr}}
	return d.target().add(false, "arpreply-mac", addr).optional(v != host.Drop, "arpreply-target", name).does(v, e)
}

// ebtLog reads struct ebt_log_info.
func ebtLog(d *data) Result {
	level, bits := d.u8(0), d.u32(32)
	levels := [...]string{"emerg", "alert", "crit", "error", "warning", "notice", "info", "debug"}
	o := bare()
	if int(level) < len(levels) {
		o.add(false, "log-level", levels[level])
	} else {
		o.add(false, "log-level", num(level))
	}
	if prefix := d.str(1, 30); prefix != "" {
		o.add(false, "log-prefix", quoted(prefix))
	}
	return bareTarget(o.flag(bits&1 != 0, "log-ip").flag(bits&2 != 0, "log-arp").flag(bits&8 != 0, "log-ip6"))
}

// ebtNFLog reads struct ebt_nflog_info.
func ebtNFLog(d *data) Result {
	o := bare()
	if prefix := d.str(12, 64); prefix != "" {
		o.add(false, "nflog-prefix", quoted(prefix))
	}
	return bareTarget(o.add(false, "nflog-group", num(d.u16(4))).
		optional(d.u32(0) != 0, "nflog-range", num(d.u32(0))).optional(d.u16(6) > 1, "nflog-threshold", num(d.u16(6))))
}

// bareTarget is a watcher of ebtables: it stands among the options, without "-j".
func bareTarget(o *options) Result {
	r := o.does(host.Continue)
	r.Text = strings.TrimPrefix(r.Text, " ")
	return r
}

// ebtStandard reads struct ebt_standard_target: a verdict alone.
func ebtStandard(d *data) Result {
	v, name := d.ebtVerdict(0)
	return Result{Verdict: v, Text: "-j " + name}
}

// arpMangle reads struct arpt_mangle (linux/netfilter_arp/arpt_mangle.h): the
// addresses in an ARP packet are replaced, so that traffic goes elsewhere.
func arpMangle(d *data) Result {
	flags, verdict := d.u8(40), int32(d.u32(44))
	o := d.target()
	e := host.Effect{Kind: "mac-redirect"}
	for i, f := range []struct {
		option string
		value  string
	}{{"mangle-mac-s", mac(d.bytes(0, 6))}, {"mangle-mac-d", mac(d.bytes(16, 6))},
		{"mangle-ip-s", d.v4(32).String()}, {"mangle-ip-d", d.v4(36).String()}} {
		if flags>>i&1 == 1 {
			o.add(false, f.option, f.value)
			e.Evidence = append(e.Evidence, "arp "+f.option+" "+f.value)
		}
	}
	switch verdict {
	case -1: // XT_CONTINUE
		return o.add(false, "mangle-target", "CONTINUE").does(host.Continue, e)
	case 0:
		return o.add(false, "mangle-target", "DROP").does(host.Drop, e)
	}
	return o.does(host.Accept, e)
}
