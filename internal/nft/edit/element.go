package edit

import (
	"slices"

	"golang.org/x/sys/unix"

	"github.com/natwarden/natwarden/internal/change"
	"github.com/natwarden/natwarden/internal/nft"
)

// setModel is a named set as it stands after the messages so far.
type setModel struct {
	elements map[string][]byte // by identity
	// order is that of the elements where it means something: of several
	// concatenated intervals that overlap, the one that was added first wins.
	order   []string
	ordered bool
}

func (b *batch) setModel(s *nft.Set) *setModel {
	m := b.sets[s]
	if m == nil {
		m = &setModel{elements: make(map[string][]byte, len(s.Elements)), ordered: s.Flags&setConcat != 0 && s.Flags&unix.NFT_SET_INTERVAL != 0}
		for _, e := range s.Elements {
			m.put(e, len(m.order))
		}
		b.sets[s] = m
	}
	return m
}

func (m *setModel) put(e []byte, at int) {
	m.elements[identity(e)] = e
	if m.ordered {
		m.order = slices.Insert(m.order, at, identity(e))
	}
}

func (m *setModel) drop(e []byte) {
	delete(m.elements, identity(e))
	if i := slices.Index(m.order, identity(e)); i >= 0 {
		m.order = slices.Delete(m.order, i, i+1)
	}
}

// from gives the elements from a place on, in order.
func (m *setModel) from(at int) [][]byte {
	var out [][]byte
	for _, id := range m.order[at:] {
		out = append(out, m.elements[id])
	}
	return out
}

// element adds the messages of a step on an element of a named set or map.
func (b *batch) element(s *step) {
	o := s.Object()
	t, set := b.view.set(o.Family, o.Table, o.Set)
	if set == nil {
		b.leave(s.number, "set %s %s %s is gone", o.Family, o.Table, o.Set)
		return
	}
	m := b.setModel(set)
	if s.Before != nil && !b.deleteElement(s.number, t, m, s.Before) {
		return
	}
	if s.After != nil {
		b.addElement(t, m, s)
	}
}

// deleteElement takes an element out, both halves of it where it is an
// interval, and ends the interval before it where nothing else does.
func (b *batch) deleteElement(number int, t *tableView, m *setModel, o *change.Object) bool {
	is := m.elements[identity(o.Raw)]
	if is == nil || t.printer.Element(o.Set, is) != o.Fingerprint {
		b.leave(number, "%s is gone already, or was changed", objectName(o))
		return false
	}
	gone := [][]byte{keysOnly(o.Raw)}
	m.drop(o.Raw)
	for _, p := range o.Parts {
		if p.Kind == partEnd {
			gone = append(gone, keysOnly(p.Raw))
			m.drop(p.Raw)
		}
	}
	b.elements(number, unix.NFT_MSG_DELSETELEM, 0, t, o.Set, gone)
	for _, p := range o.Parts {
		if p.Kind == partClose {
			m.put(p.Raw, len(m.order))
			b.elements(number, unix.NFT_MSG_NEWSETELEM, unix.NLM_F_CREATE|unix.NLM_F_EXCL, t, o.Set, [][]byte{p.Raw})
		}
	}
	return true
}

// behindMax bounds how many elements are added anew for the sake of their order.
const behindMax = 4096

// addElement is the inverse of deleteElement. Where order means something, the
// elements behind it go and come with it.
func (b *batch) addElement(t *tableView, m *setModel, s *step) {
	number, o := s.number, s.After
	if is := m.elements[identity(o.Raw)]; is != nil {
		what := "with other content"
		if t.printer.Element(o.Set, is) == o.Fingerprint {
			what = "already"
		}
		b.leave(number, "%s is there %s", objectName(o), what)
		return
	}
	at := min(max(s.Place.Index-1, 0), len(m.order))
	behind := m.from(at)
	if len(behind) > behindMax {
		at, behind = len(m.order), nil
	}
	come := append([][]byte{o.Raw}, behind...)
	m.put(o.Raw, at)
	for _, p := range o.Parts {
		if m.elements[identity(p.Raw)] == nil && p.Kind == partEnd {
			come = append(come, p.Raw)
			m.put(p.Raw, len(m.order))
		}
		if m.elements[identity(p.Raw)] != nil && p.Kind == partClose {
			b.elements(number, unix.NFT_MSG_DELSETELEM, 0, t, o.Set, [][]byte{keysOnly(p.Raw)})
			m.drop(p.Raw)
		}
	}
	b.elements(number, unix.NFT_MSG_DELSETELEM, 0, t, o.Set, eachKey(behind))
	b.elements(number, unix.NFT_MSG_NEWSETELEM, unix.NLM_F_CREATE|unix.NLM_F_EXCL, t, o.Set, come)
}

func eachKey(elements [][]byte) [][]byte {
	out := make([][]byte, len(elements))
	for i, e := range elements {
		out[i] = keysOnly(e)
	}
	return out
}

func (b *batch) elements(number int, message, flags uint16, t *tableView, set string, elements [][]byte) {
	for _, list := range lists(elements) {
		attrs := nft.AppendNest(elementHead(t, set), unix.NFTA_SET_ELEM_LIST_ELEMENTS, list)
		b.add(number, message, flags, t.Family, attrs)
	}
}

func elementHead(t *tableView, set string) []byte {
	head := nft.AppendText(nil, unix.NFTA_SET_ELEM_LIST_TABLE, t.Name)
	return nft.AppendText(head, unix.NFTA_SET_ELEM_LIST_SET, set)
}

// keysOnly is what names an element for deletion.
func keysOnly(e []byte) []byte {
	var b []byte
	_ = nft.Walk(e, func(typ uint16, data []byte) {
		switch typ {
		case unix.NFTA_SET_ELEM_KEY, unix.NFTA_SET_ELEM_FLAGS, elemKeyEnd:
			b = nft.AppendAttr(b, typ, data)
		}
	})
	return b
}
