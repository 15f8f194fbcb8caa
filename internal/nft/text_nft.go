package nft

import (
	"fmt"
	"net/netip"
	"strings"

	"github.com/natwarden/natwarden/internal/host"
)

// plainTexts write the expressions that are statements of their own. Those that
// give "" are left out of a line.
var plainTexts = map[string]func(*textWriter, *fields) string{
	"counter":   func(*textWriter, *fields) string { return "counter" },
	"log":       func(_ *textWriter, f *fields) string { return logText(f) },
	"last":      func(*textWriter, *fields) string { return "last" },
	"notrack":   func(*textWriter, *fields) string { return "notrack" },
	"synproxy":  func(*textWriter, *fields) string { return "synproxy" },
	"reject":    func(*textWriter, *fields) string { return "reject" },
	"limit":     func(_ *textWriter, f *fields) string { return limitWords(f) },
	"quota":     func(_ *textWriter, f *fields) string { return quotaWords(f) },
	"connlimit": func(_ *textWriter, f *fields) string { return connlimitWords(f) },
	"dynset":    (*textWriter).dynset,
	"objref":    (*textWriter).objref,
	"nat":       (*textWriter).nat,
	"masq":      func(w *textWriter, f *fields) string { return "masquerade" + w.ports(f, 2, 3) + flagText(f.u32(1)) },
	"redir":     func(w *textWriter, f *fields) string { return "redirect" + w.ports(f, 1, 2) + flagText(f.u32(3)) },
	"tproxy":    (*textWriter).tproxy,
	"fwd":       (*textWriter).fwd,
	"dup":       (*textWriter).dup,
	"queue":     (*textWriter).queue,

	"flow_offload": func(_ *textWriter, f *fields) string { return "flow add @" + f.text(1) },
}

func logText(f *fields) string {
	if f.has(2) {
		return "log prefix " + quoted(f.text(2))
	}
	return "log"
}

func flagText(flags uint32) string {
	if names := natFlags(flags); len(names) > 0 {
		return " " + strings.Join(names, ",")
	}
	return ""
}

func (w *textWriter) dynset(f *fields) string {
	name := []string{"add", "update", "delete"}[min(f.u32(3), 2)]
	key := "key"
	if set := w.m.t.sets[f.text(1)]; set != nil {
		key = w.m.keyWords(w.state, f.u32(4), int(set.raw.KeyLen))
	}
	return name + " @" + f.text(1) + " { " + key + w.onElement(f) + " }"
}

// onElement writes the expressions that a dynamic element carries: one in
// NFTA_DYNSET_EXPR, or a list.
func (w *textWriter) onElement(f *fields) string {
	exprs := f[10]
	if f.has(7) {
		exprs = AppendNest(nil, 1, f[7])
	}
	text := ""
	eachExpr(exprs, func(name, data []byte) {
		var inner fields
		inner.read(data)
		if say := onElements[string(name)]; say != nil {
			text += " " + say(&inner)
		}
	})
	return text
}

var onElements = map[string]func(*fields) string{
	"limit": limitWords, "quota": quotaWords, "connlimit": connlimitWords,
	"counter": func(*fields) string { return "counter" },
}

func (w *textWriter) objref(f *fields) string {
	if set := w.m.t.sets[f.text(4)]; f.has(4) && set != nil {
		name := objectNames[min(int(set.raw.ObjType), len(objectNames)-1)]
		return name + " name " + w.m.keyWords(w.state, f.u32(3), int(set.raw.KeyLen)) + " map @" + f.text(4)
	}
	name := "object"
	if int(f.u32(1)) < len(objectNames) {
		name = objectNames[f.u32(1)]
	}
	return name + " name " + quoted(f.text(2))
}

func (w *textWriter) nat(f *fields) string {
	text := "dnat"
	if f.u32(1) == 0 {
		text = "snat"
	}
	family := familyOf(uint8(f.u32(2)))
	if w.m.t.family == host.Inet && (family == host.IP || family == host.IP6) {
		text += " " + string(family)
	}
	if f.u32(7)&natNetmap != 0 {
		text += " prefix"
	}
	size := addrSize(family)
	return text + w.to([]use{{f.u32(3), size}, {f.u32(4), size}, {f.u32(5), 2}, {f.u32(6), 2}}) + flagText(f.u32(7))
}

func (w *textWriter) tproxy(f *fields) string {
	text := "tproxy"
	family := familyOf(uint8(f.u32(1)))
	if w.m.t.family == host.Inet && (family == host.IP || family == host.IP6) {
		text += " " + string(family)
	}
	return text + w.to([]use{{f.u32(2), addrSize(family)}, {}, {f.u32(3), 2}, {}})
}

func (w *textWriter) ports(f *fields, lo, hi int) string {
	return w.to([]use{{}, {}, {f.u32(lo), 2}, {f.u32(hi), 2}})
}

// use is a register that a statement reads: size bytes of it.
type use struct {
	register uint32
	size     int
}

// to writes where a translation leads. uses are the ends of the address and
// of the port; register 0 is absent.
func (w *textWriter) to(uses []use) string {
	if uses[1].register == uses[0].register {
		uses[1].register = 0
	}
	if uses[3].register == uses[2].register {
		uses[3].register = 0
	}
	if text, ok := w.fromMap(uses); ok {
		return text
	}
	addr, port := w.ends(uses[0], uses[1]), w.ends(uses[2], uses[3])
	switch {
	case addr == "" && port == "":
		return ""
	case port == "":
		return " to " + addr
	case strings.Contains(addr, ":"):
		addr = "[" + strings.ReplaceAll(addr, "-", "]-[") + "]"
	}
	if strings.Contains(addr, " map ") {
		return " to " + addr + " : " + port
	}
	return " to " + addr + ":" + port
}

func (w *textWriter) ends(lo, hi use) string {
	if lo.register == 0 {
		return ""
	}
	a := w.used(lo)
	if hi.register == 0 {
		return a
	}
	return a + "-" + w.used(hi)
}

// used writes the value of a register as an address or port.
func (w *textWriter) used(u use) string {
	if kept, m, _ := w.mapAt(u.register); kept != 0 {
		return m.words + w.elements(m.look, m.parts, func(e *element) string { return dataText(e.data, 0, u.size) })
	}
	v := w.m.get(w.state, u.register, u.size)
	if v.kind == constant {
		return dataText(v.data, 0, u.size)
	}
	return w.m.describe(w.state, &v)
}

// mapAt finds the map whose data stands in a register, and from which byte.
func (w *textWriter) mapAt(register uint32) (int32, mapped, int) {
	slot, ok := slotOf(register)
	if !ok {
		return 0, mapped{}, 0
	}
	c := w.state.regs[slot]
	m, ok := w.maps[c.value]
	if !ok {
		return 0, mapped{}, 0
	}
	return c.value, m, int(c.at) * 4
}

// fromMap writes "tcp dport map { 80 : 10.0.0.1 . 8080 }" where address and
// port come from one map.
func (w *textWriter) fromMap(uses []use) (string, bool) {
	var from int32
	var m mapped
	at := make([]int, len(uses))
	for i, u := range uses {
		if u.register == 0 {
			continue
		}
		kept, found, byteAt := w.mapAt(u.register)
		if kept == 0 || from != 0 && kept != from {
			return "", false
		}
		from, m, at[i] = kept, found, byteAt
	}
	if from == 0 {
		return "", false
	}
	colon := " to "
	if uses[0].register == 0 {
		colon = " to :"
	}
	return colon + m.words + w.elements(m.look, m.parts, func(e *element) string { return laidOut(e.data, uses, at) }), true
}

func laidOut(data []byte, uses []use, at []int) string {
	var words []string
	for i := 0; i+1 < len(uses); i += 2 {
		if uses[i].register == 0 {
			continue
		}
		word := dataText(data, at[i], uses[i].size)
		if uses[i+1].register != 0 {
			if top := dataText(data, at[i+1], uses[i+1].size); top != word {
				word = rangeOf(data, at[i], at[i+1], uses[i].size, word+"-"+top)
			}
		}
		words = append(words, word)
	}
	return strings.Join(words, " . ")
}

func rangeOf(data []byte, lo, hi, size int, other string) string {
	if size < 4 || max(lo, hi)+size > len(data) {
		return other
	}
	return addrRangeText(data[lo:lo+size], data[hi:hi+size])
}

// dataText writes two bytes as a port, four or sixteen as an address.
func dataText(data []byte, at, size int) string {
	if at+size > len(data) {
		return fmt.Sprintf("%#x", data)
	}
	data = data[at : at+size]
	if size == 2 {
		return itoa(int(small(data)))
	}
	if addr, ok := netip.AddrFromSlice(data); ok {
		return addr.String()
	}
	return fmt.Sprintf("%#x", data)
}

func (w *textWriter) device(register uint32) string {
	if kept, m, _ := w.mapAt(register); kept != 0 {
		return m.words + w.elements(m.look, m.parts, func(e *element) string { return w.ifaceText(e.data) })
	}
	v := w.m.get(w.state, register, 4)
	if v.kind == constant {
		return w.ifaceText(v.data)
	}
	return w.m.describe(w.state, &v)
}

func (w *textWriter) ifaceText(data []byte) string {
	return quoted(w.m.t.ifname(uint32(hostNumber(data, false))))
}

func (w *textWriter) fwd(f *fields) string {
	if !f.has(2) {
		return "fwd to " + w.device(f.u32(1))
	}
	family := familyOf(uint8(f.u32(3)))
	return fmt.Sprintf("fwd %s to %s device %s", family, w.used(use{f.u32(2), addrSize(family)}), w.device(f.u32(1)))
}

func (w *textWriter) dup(f *fields) string {
	switch {
	case !f.has(1):
		return "dup to " + w.device(f.u32(2))
	case !f.has(2):
		return "dup to " + w.used(use{f.u32(1), w.m.dupSize(w.state)})
	}
	return "dup to " + w.used(use{f.u32(1), w.m.dupSize(w.state)}) + " device " + w.device(f.u32(2))
}

func (w *textWriter) queue(f *fields) string {
	text := "queue"
	var flags []string
	if f.u16(3)&queueBypass != 0 {
		flags = append(flags, "bypass")
	}
	if f.u16(3)&queueFanout != 0 {
		flags = append(flags, "fanout")
	}
	if len(flags) > 0 {
		text += " flags " + strings.Join(flags, ",")
	}
	if f.has(4) {
		v := w.m.get(w.state, f.u32(4), 2)
		return text + " to " + w.m.describe(w.state, &v)
	}
	text += " to " + itoa(int(f.u16(1)))
	if n := int(f.u16(2)); n > 1 {
		text += "-" + itoa(int(f.u16(1))+n-1)
	}
	return text
}

// assign writes "tcp dport set 80", "meta mark set 0x1".
func (w *textWriter) assign(name string, f *fields, register uint32) {
	target := value{kind: loaded, place: fromMeta, key: uint16(f.u32(2)), size: metaSize(f.u32(2)), dir: dirNone}
	switch name {
	case "payload":
		target = value{kind: loaded, place: place(min(f.u32(2), uint32(innerHeader))), key: uint16(f.u32(3)), size: int(f.u32(4) & 63), dir: dirNone}
	case "ct":
		target.place, target.size = fromCT, w.m.ctSize(f.u32(2))
	}
	n := w.m.named(w.state, &target)
	if n.format == asAddrStart {
		n.name, n.format = fmt.Sprintf("@nh,%d,%d", int(target.key)*8, target.size*8), asNumber
	}
	w.drop(n.name + " ")
	if kept, m, at := w.mapAt(register); kept != 0 {
		w.say(n.name + " set " + m.words + w.elements(m.look, m.parts, func(e *element) string {
			return n.text(e.data[min(at, len(e.data)):min(at+target.size, len(e.data))], false)
		}))
		return
	}
	v := w.m.get(w.state, register, target.size)
	if v.kind == constant {
		w.say(n.name + " set " + n.text(v.data, false))
		return
	}
	if v.kind != loaded || v.plain() {
		w.say(n.name + " set " + w.m.describe(w.state, &v))
		return
	}
	from := v
	from.mask, from.xor = nil, nil
	text := w.m.describe(w.state, &from) + " & " + n.text(v.mask, false)
	if !zero(v.xor) {
		text += " ^ " + n.text(v.xor, false)
	}
	w.say(n.name + " set " + text)
}
