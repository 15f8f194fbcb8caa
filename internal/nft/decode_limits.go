package nft

import (
	"fmt"
	"strings"
)

// doLimit is nft_limit.
func (m *machine) doLimit(f *fields) {
	words := limitWords(f)
	m.each(func(s *state) { s.require(words) })
}

func limitWords(f *fields) string {
	over := ""
	if f.u32(5)&1 != 0 {
		over = "over "
	}
	unit := map[uint64]string{1: "second", 60: "minute", 3600: "hour", 86400: "day", 604800: "week"}[f.u64(2)]
	if unit == "" {
		unit = fmt.Sprintf("%d seconds", f.u64(2))
	}
	if f.u32(4) == 1 {
		words := fmt.Sprintf("limit rate %s%s/%s", over, byteCount(f.u64(1)), unit)
		if f.u32(3) != 0 {
			words += " burst " + byteCount(uint64(f.u32(3)))
		}
		return words
	}
	return fmt.Sprintf("limit rate %s%d/%s burst %d packets", over, f.u64(1), unit, f.u32(3))
}

// byteCount writes a number of bytes in nft's units.
func byteCount(n uint64) string {
	units := []string{"bytes", "kbytes", "mbytes"}
	u := 0
	for u < 2 && n >= 1024 && n%1024 == 0 {
		n, u = n/1024, u+1
	}
	return fmt.Sprintf("%d %s", n, units[u])
}

// doQuota is nft_quota.
func (m *machine) doQuota(f *fields) {
	m.each(func(s *state) { s.require(quotaWords(f)) })
}

func quotaWords(f *fields) string {
	over := ""
	if f.u32(2)&1 != 0 {
		over = "over "
	}
	return "quota " + over + byteCount(f.u64(1))
}

// doConnlimit is nft_connlimit.
func (m *machine) doConnlimit(f *fields) {
	m.each(func(s *state) { s.require(connlimitWords(f)) })
}

func connlimitWords(f *fields) string {
	if f.u32(2)&1 != 0 {
		return fmt.Sprintf("ct count over %d", f.u32(1))
	}
	return fmt.Sprintf("ct count %d", f.u32(1))
}

// NFT_OBJECT_*: what a stateful object is. Those that are not true or false
// decide nothing about where a packet goes.
var objectNames = []string{"", "counter", "quota", "ct helper", "limit", "ct count", "tunnel",
	"ct timeout", "secmark", "ct expectation", "synproxy"}

// doObjref is nft_objref: a named object, or one that a map gives.
func (m *machine) doObjref(f *fields) {
	if f.has(4) {
		m.doObjectMap(f)
		return
	}
	kind := f.u32(1)
	if int(kind) >= len(objectNames) {
		m.unsure("object of type "+itoa(int(kind)), "object type "+itoa(int(kind))+" is unknown")
		return
	}
	if decides(objectNames[kind]) {
		m.each(func(s *state) { s.require(objectNames[kind] + " name " + quoted(f.text(2))) })
	}
}

func decides(object string) bool {
	return strings.Contains("quota limit ct count", object) && object != ""
}

// doObjectMap goes on only where the map has the key.
func (m *machine) doObjectMap(f *fields) {
	set := m.t.sets[f.text(4)]
	if set == nil {
		m.unsure("set "+f.text(4), "set "+quoted(f.text(4))+" could not be read")
		return
	}
	l := look{set: set, name: f.text(4), sreg: f.u32(3)}
	if elems := set.elements(); len(elems) == 0 || m.t.dynamic[l.name] {
		m.lookChanging(l)
	} else {
		m.lookEach(l)
	}
	if kind := set.raw.ObjType; int(kind) < len(objectNames) && decides(objectNames[kind]) {
		m.each(func(s *state) { s.require(objectNames[kind] + " of map " + l.title()) })
	}
}
