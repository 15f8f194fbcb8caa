package edit

import (
	"golang.org/x/sys/unix"

	"github.com/natwarden/natwarden/internal/change"
	"github.com/natwarden/natwarden/internal/nft"
)

// setModel is a named set as it stands after the messages so far.
type setModel struct {
	elements map[string][]byte // by identity
}

func (b *batch) setModel(s *nft.Set) *setModel {
	m := b.sets[s]
	if m == nil {
		m = &setModel{make(map[string][]byte, len(s.Elements))}
		for _, e := range s.Elements {
			m.elements[identity(e)] = e
		}
		b.sets[s] = m
	}
	return m
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
		b.addElement(s.number, t, m, s.After)
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
	delete(m.elements, identity(o.Raw))
	for _, p := range o.Parts {
		if p.Kind == partEnd {
			gone = append(gone, keysOnly(p.Raw))
			delete(m.elements, identity(p.Raw))
		}
	}
	b.elements(number, unix.NFT_MSG_DELSETELEM, 0, t, o.Set, gone)
	for _, p := range o.Parts {
		if p.Kind == partClose {
			m.elements[identity(p.Raw)] = p.Raw
			b.elements(number, unix.NFT_MSG_NEWSETELEM, unix.NLM_F_CREATE|unix.NLM_F_EXCL, t, o.Set, [][]byte{p.Raw})
		}
	}
	return true
}

// addElement is the inverse of deleteElement.
func (b *batch) addElement(number int, t *tableView, m *setModel, o *change.Object) {
	if is := m.elements[identity(o.Raw)]; is != nil {
		what := "with other content"
		if t.printer.Element(o.Set, is) == o.Fingerprint {
			what = "already"
		}
		b.leave(number, "%s is there %s", objectName(o), what)
		return
	}
	come := [][]byte{o.Raw}
	m.elements[identity(o.Raw)] = o.Raw
	for _, p := range o.Parts {
		if m.elements[identity(p.Raw)] == nil && p.Kind == partEnd {
			come = append(come, p.Raw)
			m.elements[identity(p.Raw)] = p.Raw
		}
		if m.elements[identity(p.Raw)] != nil && p.Kind == partClose {
			b.elements(number, unix.NFT_MSG_DELSETELEM, 0, t, o.Set, [][]byte{keysOnly(p.Raw)})
			delete(m.elements, identity(p.Raw))
		}
	}
	b.elements(number, unix.NFT_MSG_NEWSETELEM, unix.NLM_F_CREATE|unix.NLM_F_EXCL, t, o.Set, come)
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
