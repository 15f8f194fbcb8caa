package xt

import (
	"fmt"

	"github.com/natwarden/natwarden/internal/host"
)

// changeTarget knows the targets that change a packet, but not whom it reaches.
func changeTarget(name string) act {
	switch name {
	case "TCPMSS":
		return tcpmssTarget
	case "TCPOPTSTRIP":
		return tcpoptstripTarget
	case "TOS":
		return tosTarget
	case "DSCP":
		return dscpTarget
	case "TTL", "HL":
		return ttlTarget
	case "ECN":
		return ecnTarget
	case "CHECKSUM":
		return checksumTarget
	}
	return nil
}

// tcpmssTarget reads struct xt_tcpmss_info.
func tcpmssTarget(d *data) Result {
	if mss := d.u16(0); mss != 0xffff {
		return d.target().add(false, "set-mss", num(mss)).does(host.Continue)
	}
	return d.target().add(false, "clamp-mss-to-pmtu", "").does(host.Continue)
}

// tcpoptstripTarget reads struct xt_tcpoptstrip_target_info.
func tcpoptstripTarget(d *data) Result {
	list := ""
	for i := 0; i < 256; i++ {
		if d.u32(i/32*4)>>(i%32)&1 == 1 {
			list = join(list, num(uint8(i)))
		}
	}
	return d.target().add(false, "strip-options", list).does(host.Continue)
}

// tosTarget reads struct xt_tos_target_info (r1).
func tosTarget(d *data) Result {
	return d.target().add(false, "set-tos", hex8(d.u8(0))+"/"+hex8(d.u8(1))).does(host.Continue)
}

// dscpTarget reads struct xt_DSCP_info.
func dscpTarget(d *data) Result {
	return d.target().add(false, "set-dscp", hex8(d.u8(0))).does(host.Continue)
}

// ttlTarget reads struct ipt_TTL_info and ip6t_HL_info.
func ttlTarget(d *data) Result {
	mode, option := d.u8(0), "ttl"
	if d.name == "HL" {
		option = "hl"
	}
	if mode > 2 {
		d.refuse()
		return Result{}
	}
	return d.target().add(false, option+[...]string{"-set", "-inc", "-dec"}[mode], num(d.u8(1))).does(host.Continue)
}

// ecnTarget reads struct ipt_ECN_info.
func ecnTarget(d *data) Result {
	ops, tcp := d.u8(0), d.u8(2)
	o := d.target()
	if ops&0x10 != 0 && ops&0x20 != 0 && tcp&3 == 0 {
		return o.add(false, "ecn-tcp-remove", "").does(host.Continue)
	}
	if ops&0x10 != 0 {
		o.add(false, "ecn-tcp-ece", num(tcp&1))
	}
	if ops&0x20 != 0 {
		o.add(false, "ecn-tcp-cwr", num(tcp>>1&1))
	}
	if ops&1 != 0 {
		o.add(false, "ecn-ip-ect", num(d.u8(1)))
	}
	return o.does(host.Continue)
}

// checksumTarget reads struct xt_CHECKSUM_info.
func checksumTarget(d *data) Result {
	return d.target().flag(d.u8(0)&1 != 0, "checksum-fill").does(host.Continue)
}

// endTarget knows the targets that end a packet, or answer in its place.
func endTarget(name string) act {
	switch name {
	case "REJECT":
		return rejectTarget
	case "SYNPROXY":
		return synproxyTarget
	case "CLUSTERIP":
		return clusteripTarget
	case "TARPIT", "DELUDE", "CHAOS":
		return nil // of xtables-addons: not known here
	}
	return nil
}

// rejectTarget reads struct ipt_reject_info and ip6t_reject_info.
func rejectTarget(d *data) Result {
	with := d.u32(0)
	list := []string{"icmp-net-unreachable", "icmp-host-unreachable", "icmp-proto-unreachable", "icmp-port-unreachable",
		"echo-reply", "icmp-net-prohibited", "icmp-host-prohibited", "tcp-reset", "icmp-admin-prohibited"}
	if d.fam == host.IP6 {
		list = []string{"icmp6-no-route", "icmp6-adm-prohibited", "icmp6-not-neighbour", "icmp6-addr-unreachable",
			"icmp6-port-unreachable", "echo-reply", "tcp-reset", "icmp6-policy-fail", "icmp6-reject-route"}
	}
	if with >= uint32(len(list)) {
		d.refuse()
		return Result{}
	}
	how := host.Assign{Field: host.FieldReject}
	if list[with] == "tcp-reset" {
		how.Value = host.ByReset
	}
	return d.target().add(false, "reject-with", list[with]).does(host.Drop).sets(how)
}

// synproxyTarget reads struct nf_synproxy_info. It takes SYN and the client's
// ACK away and lets other packets pass, so that it may or may not end a chain.
func synproxyTarget(d *data) Result {
	opts := d.u8(0)
	return d.target().flag(opts&4 != 0, "sack-perm").flag(opts&8 != 0, "timestamp").
		optional(opts&2 != 0, "wscale", num(d.u8(1))).optional(opts&1 != 0, "mss", num(d.u16(2))).
		flag(opts&16 != 0, "ecn").does(host.Uncertain)
}

func (o *options) optional(on bool, option, value string) *options {
	if on {
		o.add(false, option, value)
	}
	return o
}

// clusteripTarget reads struct ipt_clusterip_tgt_info: packets of other nodes
// are dropped, the others go on.
func clusteripTarget(d *data) Result {
	mode := d.u32(48)
	if mode > 2 {
		d.refuse()
		return Result{}
	}
	o := d.target()
	if d.u32(0)&1 != 0 {
		o.add(false, "new", "").add(false, "hashmode", [...]string{"sourceip", "sourceip-sourceport",
			"sourceip-sourceport-destport"}[mode]).add(false, "clustermac", mac(d.bytes(4, 6))).
			add(false, "total-nodes", num(d.u16(10))).add(false, "local-node", num(d.u16(14))).
			add(false, "hash-init", num(d.u32(52)))
	}
	return o.does(host.Uncertain)
}

// logTarget knows the targets that only tell somebody.
func logTarget(name string) act {
	switch name {
	case "LOG":
		return logPacketTarget
	case "NFLOG":
		return nflogTarget
	case "TRACE":
		return func(d *data) Result { return d.target().does(host.Continue) }
	case "AUDIT":
		return auditTarget
	case "RATEEST":
		return rateestTarget
	case "IDLETIMER":
		return idletimerTarget
	case "LED":
		return ledTarget
	}
	return nil
}

// logPacketTarget reads struct xt_log_info.
func logPacketTarget(d *data) Result {
	level, flags, prefix := d.u8(0), d.u8(1), d.str(2, 30)
	o := d.target()
	if prefix != "" {
		o.add(false, "log-prefix", quote(prefix))
	}
	if level != 4 {
		o.add(false, "log-level", num(level))
	}
	return o.flag(flags&1 != 0, "log-tcp-sequence").flag(flags&2 != 0, "log-tcp-options").
		flag(flags&4 != 0, "log-ip-options").flag(flags&8 != 0, "log-uid").
		flag(flags&0x20 != 0, "log-macdecode").does(host.Continue)
}

// nflogTarget reads struct xt_nflog_info.
func nflogTarget(d *data) Result {
	length, group, threshold, flags := d.u32(0), d.u16(4), d.u16(6), d.u16(8)
	o := d.target()
	if prefix := d.str(12, 64); prefix != "" {
		o.add(false, "nflog-prefix", quote(prefix))
	}
	return o.optional(group != 0, "nflog-group", num(group)).
		optional(flags&1 != 0, "nflog-size", num(length)).
		optional(flags&1 == 0 && length != 0, "nflog-range", num(length)).
		optional(threshold != 0, "nflog-threshold", num(threshold)).does(host.Continue)
}

// auditTarget reads struct xt_audit_info.
func auditTarget(d *data) Result {
	kind := d.u8(0)
	if kind > 2 {
		d.refuse()
		return Result{}
	}
	return d.target().add(false, "type", [...]string{"accept", "drop", "reject"}[kind]).does(host.Continue)
}

// rateestTarget reads struct xt_rateest_target_info.
func rateestTarget(d *data) Result {
	interval, ewma := int8(d.u8(16)), d.u8(17)
	if interval < -2 || interval > 3 || ewma == 0 || ewma >= 31 { // gen_new_estimator
		d.refuse()
		return Result{}
	}
	every := 250000 << (interval + 2)
	return d.target().add(false, "rateest-name", bareName(d.str(0, 16))).
		add(false, "rateest-interval", rateestTime(every)).
		add(false, "rateest-ewmalog", rateestTime(every<<ewma)).does(host.Continue)
}

// rateestTime writes microseconds.
func rateestTime(us int) string {
	switch {
	case us >= 1000000:
		return fmt.Sprintf("%.1fs", float64(us)/1000000)
	case us >= 1000:
		return fmt.Sprintf("%.1fms", float64(us)/1000)
	}
	return fmt.Sprintf("%dus", us)
}

// idletimerTarget reads struct idletimer_tg_info and _v1.
func idletimerTarget(d *data) Result {
	o := d.target().add(false, "timeout", num(d.u32(0))).add(false, "label", bareName(d.str(4, 28)))
	if d.rev == 1 {
		o.flag(d.u8(33) == 1, "alarm")
	}
	return o.does(host.Continue)
}

// ledTarget reads struct xt_led_info.
func ledTarget(d *data) Result {
	delay := d.u32(28)
	o := d.target().add(false, "led-trigger-id", quote(d.str(0, 27))).
		optional(delay != 0 && delay != 0xffffffff, "led-delay", num(delay))
	return o.flag(d.u8(27) != 0, "led-always-blink").does(host.Continue)
}
