package nft

import (
	"fmt"
	"math/bits"
	"net/netip"
	"strings"

	"github.com/natwarden/natwarden/internal/host"
)

// named is a value with the name that nft gives it and the way its contents
// are written. cutLow bits at its low end belong to a neighbour.
type named struct {
	name   string
	format format
	cutLow int
}

// describe names a value in nft's words.
func (m *machine) describe(s *state, v *value) string {
	n := m.named(s, v)
	if v.kind == loaded && n.cutLow < 0 && v.mask != nil {
		return fmt.Sprintf("%s & %#x", n.name, v.mask)
	}
	return n.name
}

// named finds the name of a value. cutLow is -1 where the value is masked in a
// way that its name does not say.
func (m *machine) named(s *state, v *value) named {
	switch {
	case v.kind == constant:
		return named{fmt.Sprintf("%#x", v.data), asNumber, 0}
	case v.kind != loaded:
		return named{v.words, v.format, 0}
	case v.place == fromMeta:
		prefix := ""
		if m.strict && v.key == metaMark {
			prefix = "meta " // as nft lists it
		}
		return v.keyed(metaNames, "meta key ", prefix)
	case v.place == fromCT:
		return v.keyed(ctNames, "key ", "ct "+[]string{"original ", "reply ", ""}[v.dir])
	}
	return m.headerField(s, v)
}

func (v *value) keyed(names []keyName, unknown, prefix string) named {
	n := named{prefix + unknown + itoa(int(v.key)), asNumber, 0}
	if int(v.key) < len(names) && names[v.key].name != "" {
		n = named{prefix + names[v.key].name, names[v.key].format, 0}
	}
	if !v.plain() {
		n.cutLow = -1
	}
	return n
}

// headerField looks a part of a header up; where it has no name nft writes
// "@th,16,16": base, offset and length in bits.
func (m *machine) headerField(s *state, v *value) named {
	at, n, low := int(v.key)*8, v.size*8, 0
	ones, contiguous := 0, true
	if v.mask != nil {
		var lead int
		lead, ones, contiguous = maskRun(v.mask)
		if contiguous && ones > 0 {
			low = n - lead - ones
			if f, ok := m.fieldAt(s, v.place, at+lead, ones); ok && zero(v.xor) {
				return named{f.name, f.format, low}
			}
		}
	}
	cutLow := 0
	if !v.plain() {
		cutLow = -1
	}
	if f, ok := m.fieldAt(s, v.place, at, n); ok {
		return named{f.name, f.format, cutLow}
	}
	if f, ok := m.fieldStart(s, v.place, at); ok && f.format == asAddr && v.plain() {
		return named{f.name, asAddrStart, 0}
	}
	base := []string{"ll", "nh", "th", "ih"}[min(v.place, innerHeader)]
	return named{fmt.Sprintf("@%s,%d,%d", base, at, n), asNumber, cutLow}
}

func zero(b []byte) bool {
	for _, c := range b {
		if c != 0 {
			return false
		}
	}
	return true
}

// maskRun gives the zeros before the ones of a mask, the number of ones, and
// whether they stand together.
func maskRun(mask []byte) (lead, ones int, together bool) {
	last := -1
	for i, b := range mask {
		ones += bits.OnesCount8(b)
		for k := range 8 {
			if b&(0x80>>k) != 0 {
				if last < 0 {
					lead = i*8 + k
				}
				last = i*8 + k
			}
		}
	}
	return lead, ones, ones == 0 || last-lead+1 == ones
}

// testWords says a test as nft would print it.
func (m *machine) testWords(s *state, v *value, t test) string {
	n := m.named(s, v)
	if n.format == asIfindex && v.kind != constant && t.op <= opNeq && len(t.lo) >= 4 {
		t.lo, n.format = m.ifindexName(t.lo, v.swap), asName
	}
	if flags, ok := flagNames(n.format); ok && (t.op == opEq || t.op == opNeq) {
		return n.name + flagWords(flags, v, t, n.format)
	}
	if v.kind == loaded && n.cutLow < 0 {
		return m.maskedWords(n, v, t)
	}
	return n.name + " " + testText(n, v, t)
}

// ifindexName turns an index into the bytes of the interface's name.
func (m *machine) ifindexName(index []byte, swap bool) []byte {
	name := make([]byte, nameSize)
	copy(name, m.t.ifname(uint32(hostNumber(index, swap))))
	return name
}

// testText is operator and value.
func testText(n named, v *value, t test) string {
	lo, hi := n.text(t.lo, v.swap), ""
	switch t.op {
	case opNeq:
		return "!= " + lo
	case opLt:
		return "< " + lo
	case opLte:
		return "<= " + lo
	case opGt:
		return "> " + lo
	case opGte:
		return ">= " + lo
	case opIn, opOut:
		hi = n.rangeText(t.lo, t.hi, v.swap)
		if t.op == opOut {
			return "!= " + hi
		}
		return hi
	}
	if n.format == asPresence {
		if zero(t.lo) {
			return "missing"
		}
		return "exists"
	}
	return lo
}

// maskedWords writes marks as iptables does ("mark 0x20/0x20") and the rest as
// nft does ("@th,64,8 & 0xf0 == 0x50").
func (m *machine) maskedWords(n named, v *value, t test) string {
	if text, ok := prefixWords(n, v, t); ok {
		return text
	}
	if bit, ok := oneBit(v.mask); ok && n.format == asLabel && t.op == opNeq && zero(t.lo) {
		return n.name + " " + itoa(bit)
	}
	if n.format == asHostHex && !m.strict && (t.op == opEq || t.op == opNeq) && len(t.lo) == 4 && zero(v.xor) {
		not := ""
		if t.op == opNeq {
			not = "!= "
		}
		return fmt.Sprintf("%s %s%#x/%#x", n.name, not, hostNumber(t.lo, v.swap), hostNumber(v.mask, v.swap))
	}
	text := fmt.Sprintf("%s & %#x", n.name, v.mask)
	as := named{n.name, asNumber, 0}
	switch n.format {
	case asAddr:
		text = n.name + " & " + addrText(v.mask)
		as.format = asAddr
	case asHostHex:
		text = fmt.Sprintf("%s & %#x", n.name, hostNumber(v.mask, v.swap))
		as.format = asHostHex
	}
	if !zero(v.xor) {
		text = fmt.Sprintf("(%s) ^ %#x", text, v.xor)
	}
	word := testText(as, v, t)
	if t.op == opEq {
		word = "== " + word
	}
	return text + " " + word
}

// prefixWords writes a masked address as a prefix.
func prefixWords(n named, v *value, t test) (string, bool) {
	length, ok := prefixLength(v.mask)
	addr, valid := netip.AddrFromSlice(t.lo)
	if n.format != asAddr || !ok || !valid || !zero(v.xor) || t.op > opNeq {
		return "", false
	}
	op := " "
	if t.op == opNeq {
		op = " != "
	}
	return n.name + op + netip.PrefixFrom(addr, length).String(), true
}

// oneBit numbers the only bit of a mask, as connection labels are numbered.
func oneBit(mask []byte) (int, bool) {
	bit, count := 0, 0
	for i, b := range mask {
		count += bits.OnesCount8(b)
		if b != 0 {
			bit = i*8 + bits.TrailingZeros8(b)
		}
	}
	return bit, count == 1
}

// text writes one content of the value.
func (n named) text(b []byte, swap bool) string {
	if n.cutLow > 0 && len(b) <= 8 {
		var x uint64
		for _, c := range b {
			x = x<<8 | uint64(c)
		}
		return fmt.Sprintf("%#x", x>>n.cutLow)
	}
	return writeValue(n.format, b, swap)
}

func (n named) rangeText(lo, hi []byte, swap bool) string {
	if n.format == asAddr {
		return addrRangeText(lo, hi)
	}
	if n.format == asName {
		if t := nameInterval(test{lo: lo, hi: hi}); t.hi == nil {
			return quoted(string(t.lo) + "*")
		}
	}
	return n.text(lo, swap) + "-" + n.text(hi, swap)
}

// keyWords names a key that is spread over registers.
func (m *machine) keyWords(s *state, register uint32, size int) string {
	return m.keyPartsWords(s, m.key(s, register, size))
}

func (m *machine) keyPartsWords(s *state, parts []keyPart) string {
	words := make([]string, len(parts))
	for i := range parts {
		words[i] = m.describe(s, &parts[i].value)
	}
	return strings.Join(words, " . ")
}

// lookWords says a lookup: "ip saddr @seen", "mark { 0x1, 0x2 }".
func (m *machine) lookWords(s *state, l look, parts []keyPart, more string) string {
	op := " "
	if l.not {
		op = " != "
	}
	return m.keyPartsWords(s, parts) + op + m.setText(s, l, parts) + more
}

// maxShown bounds the elements of an anonymous set that are written out.
const maxShown = 8

func (m *machine) setText(s *state, l look, parts []keyPart) string {
	if !l.set.anonymous {
		return "@" + l.name
	}
	var items []string
	for i := range l.set.elements() {
		if i == maxShown {
			items = append(items, "…")
			break
		}
		items = append(items, m.elementText(s, &l.set.elems[i], parts))
	}
	return "{ " + strings.Join(items, ", ") + " }"
}

// elementText writes an element's key as nft does: "10.77.1.1 . 80".
func (m *machine) elementText(s *state, e *element, parts []keyPart) string {
	if e.all {
		return "*"
	}
	words := make([]string, 0, 4)
	for i := range parts {
		p := &parts[i]
		n := m.named(s, &p.value)
		t := e.partTest(p.at, p.value.size)
		if t.op == opIn {
			words = append(words, n.rangeText(t.lo, t.hi, p.value.swap))
		} else {
			words = append(words, n.text(t.lo, p.value.swap))
		}
	}
	return strings.Join(words, " . ")
}

// fieldAt finds the field of exactly these bits.
func (m *machine) fieldAt(s *state, p place, at, n int) (headerField, bool) {
	for _, f := range m.header(s, p) {
		if f.at == at && f.bits == n {
			return f, true
		}
	}
	return headerField{}, false
}

// fieldStart finds the field that begins there.
func (m *machine) fieldStart(s *state, p place, at int) (headerField, bool) {
	for _, f := range m.header(s, p) {
		if f.at == at {
			return f, true
		}
	}
	return headerField{}, false
}

// header gives the fields of the header that the packets of a state have.
func (m *machine) header(s *state, p place) []headerField {
	switch p {
	case linkHeader:
		return etherFields
	case networkHeader:
		switch m.family(s) {
		case host.IP:
			return ip4Fields
		case host.IP6:
			return ip6Fields
		}
		if m.t.family == host.ARP {
			return arpFields
		}
	case transportHeader:
		if protos := s.branch.Match.Protos; len(protos) == 1 && protos[0].Lo == protos[0].Hi {
			return transportFields[protos[0].Lo]
		}
		if portsHere(s.branch.Match.Protos) {
			return anyPortFields
		}
	}
	return nil
}
