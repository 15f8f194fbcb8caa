package nft

import (
	"bytes"
	"slices"

	"github.com/natwarden/natwarden/internal/host"
)

// enum nft_set_flags
const (
	setAnonymous = 0x1
	setConstant  = 0x2
	setInterval  = 0x4
	setMap       = 0x8
	setObject    = 0x40
	setConcat    = 0x80
)

// enum nft_set_elem_flags
const (
	elemIntervalEnd = 0x1
	elemCatchall    = 0x2
)

// knownSet is a set or map, its elements decoded when a rule first asks.
type knownSet struct {
	raw       *Set
	anonymous bool
	read      bool
	torn      bool
	elems     []element
	answers   map[answerKey]*answer
}

// element is one element. lo and hi are equal where it is no interval.
type element struct {
	lo, hi   []byte
	data     []byte // what a map gives
	all      bool   // "*"
	verdict  host.Verdict
	chain    string
	queue    int // number of the queue of a queue verdict, plus one
	object   string
	rawEnd   []byte // NFTA_SET_ELEM_KEY_END
	boundary bool   // the end of an interval
}

// elements decodes the set once, in the order of the keys: the kernel gives
// those of a hash table in an order that changes.
func (k *knownSet) elements() []element {
	if k.read {
		return k.elems
	}
	k.read = true
	for _, raw := range k.raw.Elements {
		e, ok := readElement(raw)
		if !ok {
			k.torn = true
			continue
		}
		k.elems = append(k.elems, e)
	}
	if k.raw.Flags&setInterval != 0 && !k.concatenated() {
		k.elems = joinIntervals(k.elems)
		return k.elems
	}
	slices.SortStableFunc(k.elems, func(a, b element) int { return bytes.Compare(a.lo, b.lo) })
	return k.elems
}

// concatenated elements carry both ends themselves (KEY_END).
func (k *knownSet) concatenated() bool {
	return slices.ContainsFunc(k.elems, func(e element) bool { return e.rawEnd != nil })
}

// readElement reads enum nft_set_elem_attributes.
func readElement(raw []byte) (element, bool) {
	var f fields
	if _, whole := f.read(raw); !whole {
		return element{}, false
	}
	e := element{lo: f.data(1), object: f.text(9), rawEnd: f.data(10)}
	e.hi = e.lo
	if e.rawEnd != nil {
		e.hi = e.rawEnd
	}
	e.boundary = f.u32(3)&elemIntervalEnd != 0
	e.all = f.u32(3)&elemCatchall != 0
	if f.has(2) {
		kind, payload, _, ok := cutAttr(f[2])
		switch {
		case ok && kind == dataIsValue:
			e.data = payload
		case ok && kind == dataIsVerdict:
			e.verdict, e.chain, e.queue, ok = readVerdict(payload)
		}
		if !ok {
			return e, false
		}
	}
	return e, e.all || len(e.lo) > 0
}

// joinIntervals pairs each start with its end, which is the first key after the
// interval; where there is none the interval runs to the last key.
func joinIntervals(elems []element) []element {
	slices.SortStableFunc(elems, func(a, b element) int {
		if c := bytes.Compare(a.lo, b.lo); c != 0 || a.boundary == b.boundary {
			return c
		}
		if a.boundary { // an interval ends before the next begins at the same key
			return -1
		}
		return 1
	})
	var out []element
	for i, e := range elems {
		if e.all {
			out = append(out, e)
		}
		if e.all || e.boundary {
			continue
		}
		e.hi = lastKey(len(e.lo))
		if i+1 < len(elems) {
			e.hi = before(elems[i+1].lo)
		}
		out = append(out, e)
	}
	return out
}

func lastKey(n int) []byte { return bytes.Repeat([]byte{0xff}, n) }

// before is the key below, in network order.
func before(key []byte) []byte {
	out := slices.Clone(key)
	for i := len(out) - 1; i >= 0; i-- {
		out[i]--
		if out[i] != 0xff {
			break
		}
	}
	return out
}

// verdictBreak ends the rule as if it had not matched (NFT_BREAK); it is told
// from the verdicts of the model, which has none for it.
const verdictBreak host.Verdict = 100

// readVerdict reads enum nft_verdict_attributes. Codes are NF_* and enum
// nft_verdicts; the upper half of NF_QUEUE is the number of the queue.
func readVerdict(b []byte) (v host.Verdict, chain string, queue int, ok bool) {
	var f fields
	if _, whole := f.read(b); !whole || !f.has(1) {
		return 0, "", 0, false
	}
	code := int32(f.u32(1))
	switch code {
	case -1:
		return host.Continue, "", 0, true
	case -2:
		return verdictBreak, "", 0, true
	case -3:
		return host.Jump, f.text(2), 0, true
	case -4:
		return host.Goto, f.text(2), 0, true
	case -5:
		return host.Return, "", 0, true
	}
	switch code & 0xff {
	case 0:
		return host.Drop, "", 0, true
	case 1:
		return host.Accept, "", 0, true
	case 2:
		return host.Stolen, "", 0, true
	case 3:
		return host.Queue, "", int(uint32(code)>>16) + 1, true
	}
	return 0, "", 0, false
}
