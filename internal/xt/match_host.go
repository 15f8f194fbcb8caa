package xt

import "github.com/natwarden/natwarden/internal/host"

// ownerMatch reads struct xt_owner_match_info (r1): the socket that sends.
func ownerMatch(d *data) ([]host.Match, string) {
	ops, inv := d.u8(16), d.u8(17)
	if d.rev == 0 {
		d.refuse() // struct ipt_owner_info: no kernel since 2.6.38 has it
	}
	o := d.match()
	if ops&4 != 0 {
		o.add(inv&4 != 0, "socket-exists", "")
	}
	if ops&1 != 0 {
		o.add(inv&1 != 0, "uid-owner", span(d.u32(0), d.u32(4), "-"))
	}
	if ops&2 != 0 {
		o.add(inv&2 != 0, "gid-owner", span(d.u32(8), d.u32(12), "-"))
	}
	return o.flag(ops&8 != 0, "suppl-groups").only()
}

// socketMatch reads struct xt_socket_mtinfo1 to 3; r0 has no fields.
func socketMatch(d *data) ([]host.Match, string) {
	var flags uint8
	if d.rev > 0 {
		flags = d.u8(0)
	}
	return d.match().word("a local socket answers").flag(flags&1 != 0, "transparent").
		flag(flags&2 != 0, "nowildcard").flag(flags&4 != 0, "restore-skmark").only()
}

// cgroupMatch reads struct xt_cgroup_info_v0, _v1 and _v2.
func cgroupMatch(d *data) ([]host.Match, string) {
	o := d.match()
	if d.rev == 0 {
		return o.add(d.u32(4) != 0, "cgroup", num(d.u32(0))).only()
	}
	path, class := 4096, 4100
	if d.rev == 2 {
		path, class = 512, 4
	}
	if d.u8(0) != 0 {
		o.as(d.u8(2) != 0, "path", "cgroup", bareName(d.str(4, path)))
	}
	if d.u8(1) != 0 {
		o.add(d.u8(3) != 0, "cgroup", num(d.u32(class)))
	}
	return o.only()
}

// cpuMatch reads struct xt_cpu_info.
func cpuMatch(d *data) ([]host.Match, string) {
	return d.match().add(d.u32(4) != 0, "cpu", num(d.u32(0))).only()
}
