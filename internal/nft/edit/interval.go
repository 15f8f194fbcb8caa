package edit

import (
	"bytes"
	"slices"

	"golang.org/x/sys/unix"

	"github.com/natwarden/natwarden/internal/nft"
)

// Sets of intervals that the kernel keeps in a tree (flag interval without
// concatenation) hold an interval as two elements: its first key, and the key
// after its last with NFT_SET_ELEM_INTERVAL_END. An interval that the next one
// follows at once may lack its end in an anonymous map; one that runs to the
// highest key has none. Concatenated intervals are one element with NFTA_SET_ELEM_KEY_END.

const (
	elemKeyEnd = 10   // NFTA_SET_ELEM_KEY_END
	setConcat  = 0x80 // NFT_SET_CONCAT
	catchall   = 2    // NFT_SET_ELEM_CATCHALL
)

// removal is what taking one interval or element out of a set does.
type removal struct {
	found    bool
	at       int      // its place in the list, from 0
	start    []byte   // the element
	end      []byte   // the end of its interval, that goes with it; nil for none
	close    []byte   // an end that must come in its place; nil for none
	elements [][]byte // what is left
}

// without takes the element with a key out of a list of elements of a set.
func without(s *nft.Set, elements [][]byte, key []byte) removal {
	if elements == nil {
		elements = s.Elements
	}
	i := slices.IndexFunc(elements, func(e []byte) bool { return !ending(e) && hasKey(e, key) })
	if i < 0 {
		return removal{elements: elements}
	}
	r := removal{found: true, at: i, start: elements[i]}
	if inTree(s) {
		r.end, r.close = neighbours(elements, elements[i])
	}
	for _, e := range elements {
		if !same(e, r.start) && !same(e, r.end) {
			r.elements = append(r.elements, e)
		}
	}
	if r.close != nil {
		r.elements = append(r.elements, r.close)
	}
	if r.elements == nil {
		r.elements = [][]byte{}
	}
	return r
}

func inTree(s *nft.Set) bool {
	return s.Flags&unix.NFT_SET_INTERVAL != 0 && s.Flags&setConcat == 0
}

// neighbours finds the end of the interval that begins with start, and what
// must close the interval before it where only this start ends that one.
func neighbours(elements [][]byte, start []byte) (end, closing []byte) {
	var before, after []byte
	for _, e := range elements {
		switch c := compare(e, start); {
		case flags(e)&catchall != 0:
		case c < 0 && (before == nil || compare(e, before) > 0):
			before = e
		case c > 0 && (after == nil || compare(e, after) < 0):
			after = e
		}
	}
	if after != nil && ending(after) {
		end = after
	}
	if before != nil && !ending(before) {
		closing = endAt(keyOf(start))
	}
	return end, closing
}

// compare puts elements in the order of the tree: by key, an end before a start.
func compare(a, b []byte) int {
	if c := bytes.Compare(value(keyOf(a)), value(keyOf(b))); c != 0 {
		return c
	}
	switch {
	case ending(a) == ending(b):
		return 0
	case ending(a):
		return -1
	}
	return 1
}

// endAt makes the element that ends an interval at a key (NFTA_SET_ELEM_KEY payload).
func endAt(key []byte) []byte {
	b := nft.AppendAttr(nil, unix.NFTA_SET_ELEM_KEY, key)
	return nft.AppendU32(b, unix.NFTA_SET_ELEM_FLAGS, unix.NFT_SET_ELEM_INTERVAL_END)
}

func keyOf(e []byte) []byte    { return nft.Find(e, unix.NFTA_SET_ELEM_KEY) }
func flags(e []byte) uint32    { return nft.U32(nft.Find(e, unix.NFTA_SET_ELEM_FLAGS)) }
func ending(e []byte) bool     { return flags(e)&unix.NFT_SET_ELEM_INTERVAL_END != 0 }
func value(key []byte) []byte  { return nft.Find(key, unix.NFTA_DATA_VALUE) }
func same(a, b []byte) bool    { return b != nil && identity(a) == identity(b) }
func keyEndOf(e []byte) []byte { return nft.Find(e, elemKeyEnd) }
func hasKey(e, want []byte) bool {
	return slices.ContainsFunc(spellings(e), func(k []byte) bool { return bytes.Equal(k, want) })
}

// identity tells the elements of a set apart.
func identity(e []byte) string {
	return string(appendFlags(nil, e)) + string(value(keyOf(e))) + "\x00" + string(value(keyEndOf(e)))
}

func appendFlags(b, e []byte) []byte {
	return append(b, byte(flags(e)&(unix.NFT_SET_ELEM_INTERVAL_END|catchall)))
}

// spellings are the forms in which a key may be named: the values one after
// the other, or the payloads of the attributes. The catch-all element has none.
func spellings(e []byte) [][]byte {
	if flags(e)&catchall != 0 {
		return [][]byte{{}, nil}
	}
	key, end := keyOf(e), keyEndOf(e)
	return [][]byte{
		slices.Concat(value(key), value(end)),
		slices.Concat(key, end),
	}
}
