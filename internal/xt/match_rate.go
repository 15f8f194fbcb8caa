package xt

import (
	"fmt"
	"time"

	"github.com/natwarden/natwarden/internal/host"
)

// hostMatch knows the matches that look at time, rates, lists and at the host
// itself instead of the packet.
func hostMatch(name string) decode {
	switch name {
	case "statistic":
		return statisticMatch
	case "time":
		return timeMatch
	case "recent":
		return recentMatch
	case "limit":
		return limitMatch
	case "hashlimit":
		return hashlimitMatch
	case "quota":
		return quotaMatch
	case "rateest":
		return rateestMatch
	case "owner":
		return ownerMatch
	case "socket":
		return socketMatch
	case "cgroup":
		return cgroupMatch
	case "cpu":
		return cpuMatch
	case "cluster":
		return clusterMatch
	case "nfacct":
		return nfacctMatch
	}
	return nil
}

// statisticMatch reads struct xt_statistic_info.
func statisticMatch(d *data) ([]host.Match, string) {
	mode, not := d.u16(0), d.u16(2)&1 != 0
	o := d.match()
	switch mode {
	case 0:
		chance := float64(d.u32(4)) / 0x80000000
		o.as(false, "mode", "", "random").as(not, "probability", "", fmt.Sprintf("%.11f", chance))
		if not {
			chance = 1 - chance
		}
		return o.chance(chance)
	case 1:
		every, packet := uint64(d.u32(4))+1, d.u32(8)
		o.as(false, "mode", "", "nth").as(not, "every", "", num(every)).as(false, "packet", "", num(packet))
		word := fmt.Sprintf("every %s packet", ordinal(every))
		if not {
			word = "not " + word
		}
		return o.word(fmt.Sprintf("%s (number %d)", word, packet)).only()
	}
	d.refuse()
	return nil, ""
}

func (o *options) chance(chance float64) ([]host.Match, string) {
	switch {
	case chance <= 0:
		return o.with(host.Match{Dead: "its probability is 0"})
	case chance >= 1:
		return nil, o.text.String()
	}
	return o.word(fmt.Sprintf("with probability %.4g", chance)).only()
}

func ordinal(n uint64) string {
	suffix := "th"
	if n/10%10 != 1 {
		switch n % 10 {
		case 1:
			suffix = "st"
		case 2:
			suffix = "nd"
		case 3:
			suffix = "rd"
		}
	}
	return num(n) + suffix
}

// timeMatch reads struct xt_time_info. A window that comes again is words; an
// end that is past is dead, a beginning to come waits.
func timeMatch(d *data) ([]host.Match, string) {
	start, stop, flags := d.u32(0), d.u32(4), d.u8(21)
	o := d.match()
	if from, to := d.u32(8), d.u32(12); from != 0 || to != 24*60*60-1 {
		o.add(false, "timestart", clock(from)).add(false, "timestop", clock(to))
	}
	if days := d.u32(16); days != 0xfffffffe {
		o.add(false, "monthdays", monthdays(days))
	}
	if days := d.u8(20); days != 0xfe {
		o.add(false, "weekdays", names(uint32(days)>>1, "Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"))
	}
	if start != 0 {
		o.add(false, "datestart", date(start))
	}
	if stop == 0x7fffffff { // no end: iptables-save prints it none the less
		o.as(false, "datestop", "", date(stop))
	} else {
		o.add(false, "datestop", date(stop))
	}
	o.flag(flags&1 != 0, "kerneltz").flag(flags&2 != 0, "contiguous")
	var m host.Match
	m.Dead, m.Waiting = d.dateState(start, stop, flags&1 != 0)
	return o.with(m)
}

// dateState compares the dates with now. With --kerneltz the kernel moves them
// by its time zone, up to 14 hours, which is not known here.
func (d *data) dateState(start, stop uint32, local bool) (dead, waiting string) {
	if d.env.Now.IsZero() {
		return "", ""
	}
	now, slack := d.env.Now.Unix(), int64(0)
	if local {
		slack = 15 * 60 * 60
	}
	switch {
	case now > int64(stop)+slack:
		return "its time ended at " + date(stop), ""
	case now < int64(start)-slack:
		return "", "its time begins at " + date(start)
	}
	return "", ""
}

func date(seconds uint32) string {
	return time.Unix(int64(seconds), 0).UTC().Format("2006-01-02T15:04:05")
}

func clock(seconds uint32) string {
	return fmt.Sprintf("%02d:%02d:%02d", seconds/3600, seconds/60%60, seconds%60)
}

func monthdays(bits uint32) string {
	list := ""
	for day := 1; day < 32; day++ {
		if bits>>day&1 == 1 {
			list = join(list, num(uint8(day)))
		}
	}
	return list
}

// recentMatch reads struct xt_recent_mtinfo (r0) and xt_recent_mtinfo_v1: a
// list of addresses that packets fill.
func recentMatch(d *data) ([]host.Match, string) {
	seconds, hits, ops, not := d.u32(0), d.u32(4), d.u8(8), d.u8(9) != 0
	name, dest := bareName(d.str(10, 200)), d.u8(210) == 1
	option := map[uint8]string{1: "rcheck", 2: "set", 4: "update", 8: "remove"}[ops&15]
	if option == "" {
		d.refuse()
		return nil, ""
	}
	o := d.match().as(not, option, "", "")
	words := ""
	if seconds != 0 {
		o.as(false, "seconds", "", num(seconds))
		words += " within " + num(seconds) + " s"
	}
	if ops&32 != 0 {
		o.as(false, "reap", "", "")
	}
	if hits != 0 {
		o.as(false, "hitcount", "", num(hits))
		words += " at least " + num(hits) + " times"
	}
	if ops&16 != 0 {
		o.as(false, "rttl", "", "")
		words += " with the same TTL"
	}
	o.as(false, "name", "", name)
	if d.rev > 0 {
		o.as(false, "mask", "", d.addr(212).String())
	}
	o.as(false, map[bool]string{false: "rsource", true: "rdest"}[dest], "", "")
	return d.recentList(o, ops, not, dest, name, words)
}

// recentList says what the use of the list means: --set takes every packet and
// notes its address.
func (d *data) recentList(o *options, ops uint8, not, dest bool, name, words string) ([]host.Match, string) {
	switch {
	case ops&2 != 0 && !not:
		return nil, o.text.String()
	case ops&2 != 0:
		return o.with(host.Match{Dead: "recent --set takes every packet, and the match is inverted"})
	}
	who := "source"
	if dest {
		who = "destination"
	}
	if not {
		who += " not"
	}
	return o.word(who + " in recent list " + name + words + " (filled by packets)").only()
}

// unit is a unit of limit and hashlimit.
type unit struct {
	name    string
	seconds uint64
}

// rate writes a period (in 1/scale seconds between packets) as iptables-save
// does: the largest unit in which it is near a whole number. It gives the unit
// in seconds as well.
func rate(period, scale uint64) (text string, per uint64) {
	units := [...]unit{{"day", 86400}, {"hour", 3600}, {"min", 60}, {"sec", 1}}
	if period == 0 {
		return "0/sec", 1
	}
	best := units[0]
	for _, u := range units[1:] {
		per := u.seconds * scale
		if period > per || per/period < per%period {
			break
		}
		best = u
	}
	return num(best.seconds*scale/period) + "/" + best.name, best.seconds
}

// limitMatch reads struct xt_rateinfo.
func limitMatch(d *data) ([]host.Match, string) {
	text, _ := rate(uint64(d.u32(0)), 10000)
	o := d.match().add(false, "limit", text)
	if burst := d.u32(4); burst != 5 {
		o.as(false, "limit-burst", "burst", num(burst))
	}
	return o.only()
}

// hashlimit is what the revisions of struct xt_hashlimit_mtinfo have in common.
type hashlimit struct {
	name             string
	avg, burst       uint64
	scale            uint64
	mode             uint32
	source, dest     uint8 // prefix lengths
	size, max        uint32
	gc, expire, span uint32
}

// hashlimitMatch reads struct xt_hashlimit_mtinfo1, 2 and 3.
func hashlimitMatch(d *data) ([]host.Match, string) {
	var h hashlimit
	switch d.rev {
	case 1:
		h = hashlimit{name: d.str(0, 16), avg: uint64(d.u32(20)), burst: uint64(d.u32(24)), scale: 10000, mode: d.u32(16),
			size: d.u32(28), max: d.u32(32), gc: d.u32(36), expire: d.u32(40), source: d.u8(44), dest: d.u8(45)}
	case 2, 3:
		h = hashlimit{name: d.str(0, 255), avg: d.u64(256), burst: d.u64(264), scale: 1000000, mode: d.u32(272),
			size: d.u32(276), max: d.u32(280), gc: d.u32(284), expire: d.u32(288), source: d.u8(292), dest: d.u8(293)}
		if d.rev == 3 {
			h.span, h.source, h.dest = d.u32(292), d.u8(296), d.u8(297)
		}
	default:
		d.refuse()
	}
	return h.options(d)
}

func (h hashlimit) options(d *data) ([]host.Match, string) {
	option := "hashlimit-upto"
	if h.mode&16 != 0 {
		option = "hashlimit-above"
	}
	o := d.match()
	usual := h.rate(o, option)
	if mode := join(names(h.mode>>2&3, "srcip", "srcport"), names(h.mode&3, "dstip", "dstport")); mode != "" {
		o.as(false, "hashlimit-mode", "by", mode)
	}
	o.as(false, "hashlimit-name", "", bareName(h.name))
	h.tuning(o, d.fam, usual)
	return o.only()
}

// rate writes the limit and the burst. It gives the expiry, in milliseconds,
// that goes with the rate unless another was asked for.
func (h hashlimit) rate(o *options, option string) (expiry uint32) {
	if h.mode&32 == 0 {
		text, unit := rate(h.avg, h.scale)
		o.add(false, option, text).as(false, "hashlimit-burst", "burst", num(h.burst))
		return uint32(unit * 1000)
	}
	o.add(false, option, byteRate(h.avg)+"b/s")
	if h.burst == 0 {
		return 15000
	}
	o.as(false, "hashlimit-burst", "burst", bytesUnit(bytesPerSecond(h.avg)*h.burst, 0)+"b")
	return 60000
}

func (h hashlimit) tuning(o *options, fam host.Family, expiry uint32) {
	full := uint8(32)
	if fam == host.IP6 {
		full = 128
	}
	for _, n := range []struct {
		option       string
		value, usual uint32
	}{{"htable-size", h.size, 0}, {"htable-max", h.max, 0}, {"htable-gcinterval", h.gc, 1000}, {"htable-expire", h.expire, expiry},
		{"srcmask", uint32(h.source), uint32(full)}, {"dstmask", uint32(h.dest), uint32(full)}} {
		if n.value != n.usual {
			o.as(false, "hashlimit-"+n.option, "", num(n.value))
		}
	}
	if h.mode&64 != 0 {
		o.add(false, "hashlimit-rate-match", "").as(false, "hashlimit-rate-interval", "", num(h.span))
	}
}

// bytesPerSecond undoes how a rate of bytes is kept: 2^32 divided by one more
// than the rate in units of 16 bytes (XT_HASHLIMIT_BYTE_SHIFT).
func bytesPerSecond(cost uint64) uint64 {
	if cost == 0 || cost > 0xffffffff {
		return 0
	}
	return (0xffffffff/cost - 1) << 4
}

// byteRate writes a rate in the largest unit in which it is what it was.
func byteRate(cost uint64) string { return bytesUnit(bytesPerSecond(cost), cost) }

// bytesUnit writes a number of bytes with m or k where it is as much; with a
// cost, only where the rounded number has the same cost.
func bytesUnit(n, cost uint64) string {
	for _, u := range []struct {
		size uint64
		name string
	}{{1 << 20, "m"}, {1 << 10, "k"}} {
		if rounded := n &^ (u.size - 1); n >= u.size && (cost == 0 || 0xffffffff/(rounded>>4+1) == cost) {
			return num(n/u.size) + u.name
		}
	}
	return num(n)
}

// quotaMatch reads struct xt_quota_info.
func quotaMatch(d *data) ([]host.Match, string) {
	not, quota := d.u32(0)&1 != 0, d.u64(8)
	var m host.Match
	if quota == 0 && !not {
		m.Dead = "its quota is 0"
	}
	return d.match().add(not, "quota", num(quota)).with(m)
}

// rateestMatch reads struct xt_rateest_match_info; its limits stay in the text
// of the names.
func rateestMatch(d *data) ([]host.Match, string) {
	flags, mode := d.u16(32), d.u16(34)
	o := d.match().as(false, "rateest1", "rate estimator", bareName(d.str(0, 16)))
	if flags&4 != 0 {
		o.add(false, "rateest2", bareName(d.str(16, 16)))
	}
	o.add(flags&1 != 0, "rateest-"+map[uint16]string{1: "eq", 2: "lt", 3: "gt"}[mode], "")
	return o.flag(flags&16 != 0, "rateest-bps").flag(flags&32 != 0, "rateest-pps").only()
}

// clusterMatch reads struct xt_cluster_match_info.
func clusterMatch(d *data) ([]host.Match, string) {
	return d.match().add(d.u32(12)&1 != 0, "cluster-local-nodemask", fmt.Sprintf("0x%08x", d.u32(4))).
		as(false, "cluster-total-nodes", "of", num(d.u32(0))).
		as(false, "cluster-hash-seed", "", fmt.Sprintf("0x%08x", d.u32(8))).only()
}

// nfacctMatch reads struct xt_nfacct_match_info. It counts; where the object has
// a quota, only packets beyond that fit (net/netfilter/xt_nfacct.c).
func nfacctMatch(d *data) ([]host.Match, string) {
	return d.match().add(false, "nfacct-name", bareName(d.str(0, 32))).only()
}
