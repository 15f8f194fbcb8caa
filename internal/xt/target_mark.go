package xt

import (
	"fmt"

	"github.com/natwarden/natwarden/internal/host"
)

// markTarget knows the targets that note something about a packet or flow.
func markTarget(name string) act {
	switch name {
	case "MARK":
		return markSetTarget
	case "CONNMARK":
		return connmarkTarget
	case "CT", "NOTRACK":
		return ctTarget
	case "SET":
		return setTarget
	case "CLASSIFY":
		return classifyTarget
	case "SECMARK":
		return secmarkTarget
	case "CONNSECMARK":
		return connsecmarkTarget
	case "HMARK":
		return hmarkTarget
	}
	return nil
}

// markSetTarget reads struct xt_mark_tginfo2 (r2). r0 and r1 left the kernel
// with Linux 2.6.35.
func markSetTarget(d *data) Result {
	if d.rev != 2 {
		d.refuse()
	}
	return d.target().add(false, "set-xmark", hex(d.u32(0))+"/"+hex(d.u32(4))).does(host.Continue).
		sets(host.Assign{Field: host.FieldMark, Value: d.u32(0), Mask: d.u32(4)})
}

// connmarkTarget reads struct xt_connmark_tginfo1 and 2.
func connmarkTarget(d *data) Result {
	mark, ct, nf, mode := d.u32(0), d.u32(4), d.u32(8), d.u8(12)
	if d.rev == 2 {
		mode = d.u8(14)
	}
	o := d.target()
	a := host.Assign{Field: host.FieldCTMark, Mask: ct, Value: mark}
	switch mode {
	case 0:
		o.add(false, "set-xmark", hex(mark)+"/"+hex(ct))
	case 1:
		a.Value, a.From, a.FromMask = 0, host.FieldMark, nf
		o.add(false, "save-mark", "").add(false, "nfmask", hex(nf)).add(false, "ctmask", hex(ct))
	case 2:
		a = host.Assign{Field: host.FieldMark, Mask: nf, From: host.FieldCTMark, FromMask: ct}
		o.add(false, "restore-mark", "").add(false, "nfmask", hex(nf)).add(false, "ctmask", hex(ct))
	default:
		d.refuse()
	}
	if d.rev == 2 && d.u8(13) != 0 {
		side := "left"
		if d.u8(12) == 1 {
			side = "right"
		}
		o.add(false, side+"-shift-mark", num(d.u8(13)))
		a.Unknown = "the mark is shifted"
	}
	return o.does(host.Continue).sets(a)
}

// ctTarget reads struct xt_ct_target_info (r0) and _v1 (r1, r2); NOTRACK has no
// fields. An untracked packet is never translated.
func ctTarget(d *data) Result {
	if d.name == "NOTRACK" {
		return d.target().does(host.Continue).sets(host.Assign{Field: host.FieldNoTrack})
	}
	flags, zone := d.u16(0), d.u16(2)
	o := d.target()
	if flags&2 != 0 {
		o.text.Reset()
		o.text.WriteString("-j NOTRACK")
		return o.does(host.Continue).sets(host.Assign{Field: host.FieldNoTrack})
	}
	o.flag(flags&1 != 0, "notrack")
	if helper := d.str(12, 16); helper != "" {
		o.add(false, "helper", bareName(helper))
	}
	if d.rev > 0 {
		if timeout := d.str(28, 32); timeout != "" {
			o.add(false, "timeout", bareName(timeout))
		}
	}
	if events := d.u32(4); events != 0 {
		o.add(false, "ctevents", names(events, "new", "related", "destroy", "reply", "assured", "protoinfo", "helper",
			"mark", "natseqinfo", "secmark"))
	}
	if events := d.u32(8); events != 0 {
		o.add(false, "expevents", names(events, "new"))
	}
	r := d.ctZone(o, flags, zone).does(host.Continue)
	if flags&1 != 0 {
		r = r.sets(host.Assign{Field: host.FieldNoTrack})
	}
	return r
}

func (d *data) ctZone(o *options, flags, zone uint16) *options {
	option := "zone"
	switch {
	case flags&4 != 0:
		option = "zone-orig"
	case flags&8 != 0:
		option = "zone-reply"
	}
	switch {
	case flags&16 != 0:
		o.add(false, option, "mark")
	case zone != 0:
		o.add(false, option, num(zone))
	}
	return o
}

// setTarget reads struct xt_set_info_target_v1, _v2 and _v3: packets add their
// address to a set, take it out, or take marks from one.
func setTarget(d *data) Result {
	if d.rev < 1 || d.rev > 3 {
		d.refuse()
		return Result{}
	}
	o := d.target()
	var fills []string
	if name, ok := d.setOption(o, 0, "add-set"); ok {
		fills = append(d.memberNames(0), bareName(name))
	}
	if d.rev > 1 {
		d.setAddOptions(o)
	}
	d.setOption(o, 4, "del-set")
	if d.rev == 3 {
		d.setMapOptions(o)
	}
	r := o.does(host.Continue)
	if d.rev == 3 && d.setUse(8).index != 65535 && d.u32(12)&(1<<8) != 0 {
		r = r.sets(host.Assign{Field: host.FieldMark, Unknown: "the mark comes from an ipset"})
	}
	r.Fills = fills
	return r
}

// memberNames are those of the sets of a list:set: what is added to the list
// goes into one of them.
func (d *data) memberNames(off int) []string {
	s, _, ok := d.set(d.setUse(off))
	if !ok {
		return nil
	}
	var names []string
	for _, e := range s.Elements {
		if e.Member != "" {
			names = append(names, bareName(e.Member))
		}
	}
	return names
}

// setOption writes one of the sets; ok is false where there is none.
func (d *data) setOption(o *options, off int, option string) (name string, ok bool) {
	const none = 65535 // IPSET_INVALID_ID
	u := d.setUse(off)
	if u.dim > 6 {
		d.refuse()
		return "", false
	}
	if u.index == none {
		return "", false
	}
	_, name, _ = d.set(u)
	o.add(false, option, bareName(name)+" "+u.directions())
	return name, true
}

func (d *data) setAddOptions(o *options) {
	flags, timeout := d.u32(8), d.u32(12)
	if d.rev == 3 {
		flags, timeout = d.u32(12), d.u32(16)
	}
	o.flag(flags&1 != 0, "exist")
	if timeout != 0xffffffff {
		o.add(false, "timeout", num(timeout))
	}
}

func (d *data) setMapOptions(o *options) {
	if _, ok := d.setOption(o, 8, "map-set"); !ok {
		return
	}
	flags := d.u32(12)
	o.flag(flags&(1<<8) != 0, "map-mark").flag(flags&(1<<9) != 0, "map-prio").flag(flags&(1<<10) != 0, "map-queue")
}

// classifyTarget reads struct xt_classify_target_info.
func classifyTarget(d *data) Result {
	class := d.u32(0)
	return d.target().add(false, "set-class", fmt.Sprintf("%04x:%04x", class>>16, class&0xffff)).does(host.Continue)
}

// secmarkTarget reads struct xt_secmark_target_info and _v1.
func secmarkTarget(d *data) Result {
	context := 8
	if d.rev > 0 {
		context = 1
	}
	return d.target().add(false, "selctx", quote(d.str(context, 256))).does(host.Continue)
}

// connsecmarkTarget reads struct xt_connsecmark_target_info.
func connsecmarkTarget(d *data) Result {
	return d.target().flag(d.u8(0) == 1, "save").flag(d.u8(0) == 2, "restore").does(host.Continue)
}

// hmarkTarget reads struct xt_hmark_info: a mark by hash, like a balancer's.
func hmarkTarget(d *data) Result {
	flags := d.u32(40)
	o := d.target()
	on := func(bit int) bool { return flags>>bit&1 == 1 }
	source, _ := maskBits(d.addr(0))
	dest, _ := maskBits(d.addr(16))
	return o.optional(on(12), "hmark-tuple", "ct").
		optional(on(0), "hmark-src-prefix", num(uint8(source))).optional(on(1), "hmark-dst-prefix", num(uint8(dest))).
		optional(on(2), "hmark-spi", fmt.Sprintf("0x%08x", d.be32(36))).
		optional(on(3), "hmark-spi-mask", fmt.Sprintf("0x%08x", d.be32(32))).
		optional(on(4), "hmark-sport", num(d.be16(36))).optional(on(5), "hmark-dport", num(d.be16(38))).
		optional(on(6), "hmark-sport-mask", fmt.Sprintf("0x%04x", d.be16(32))).
		optional(on(7), "hmark-dport-mask", fmt.Sprintf("0x%04x", d.be16(34))).
		optional(on(8), "hmark-proto-mask", fmt.Sprintf("0x%02x", d.u16(44))).
		optional(on(9), "hmark-rnd", fmt.Sprintf("0x%08x", d.u32(48))).
		optional(on(10), "hmark-mod", num(d.u32(52))).optional(on(11), "hmark-offset", num(d.u32(56))).does(host.Continue).
		sets(host.Assign{Field: host.FieldMark, Unknown: "the mark is a hash of the packet"})
}
