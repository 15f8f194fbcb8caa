package edit

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/natwarden/natwarden/internal/change"
	"github.com/natwarden/natwarden/internal/nft"
)

// List reads the raw dump of a snapshot as the places of its world, with the
// words of every rule.
func List(raw []byte) (map[string][]change.Listed, error) {
	d, err := ReadFile(raw)
	if err != nil {
		return nil, err
	}
	out := map[string][]change.Listed{}
	texts := ruleTexts(d)
	for _, t := range viewOf(d).order {
		where := fmt.Sprintf("%s %s", familyName(t.Family), t.Name)
		out[where] = t.listed()
		for _, c := range t.Chains {
			cv := t.chains[c.Name]
			if cv.anonymous() {
				continue
			}
			here := []change.Listed{}
			for i, print := range cv.fingerprints() {
				here = append(here, change.Listed{Fingerprint: print, Text: texts[c.Rules[i]]})
			}
			out[where+" "+c.Name] = here
		}
		for _, s := range t.Sets {
			if settled(s) {
				out[where+" @"+s.Name] = t.elementsListed(s)
			}
		}
	}
	return out, nil
}

// ruleTexts gives the words of every rule, in the language of its writer.
func ruleTexts(d *nft.Dump) map[*nft.Rule]string {
	out := map[*nft.Rule]string{}
	for i, t := range nft.Decode(d, nft.Env{Now: time.Now(), Listing: true}).Tables {
		for j, c := range t.Chains {
			for k, r := range c.Rules {
				out[d.Tables[i].Chains[j].Rules[k]] = r.Text
			}
		}
	}
	return out
}

// listed are the table itself, its chains and its sets, without the fingerprints
// that contents gives them.
func (t *tableView) listed() []change.Listed {
	var out []change.Listed
	for _, print := range t.contents() {
		text := "the table itself (its flags)"
		if kind, rest, _ := strings.Cut(print, " "); kind != "table" {
			text = kind + " " + rest[:max(strings.LastIndexByte(rest, ' '), 0)]
		}
		out = append(out, change.Listed{Fingerprint: print, Text: text})
	}
	return out
}

func (t *tableView) elementsListed(s *nft.Set) []change.Listed {
	out := []change.Listed{}
	for _, e := range s.Elements {
		text := "element " + keyWords(s.KeyType, nft.FindPath(e, unix.NFTA_SET_ELEM_KEY, unix.NFTA_DATA_VALUE))
		if ending(e) {
			text = "the end of an interval at " + strings.TrimPrefix(text, "element ")
		}
		if data := nft.FindPath(e, unix.NFTA_SET_ELEM_DATA, unix.NFTA_DATA_VALUE); len(data) > 0 {
			text += " : " + keyWords(s.DataType, data)
		}
		out = append(out, change.Listed{Fingerprint: t.printer.Element(s.Name, e), Text: text})
	}
	// The kernel lists a set in no order of its own.
	slices.SortFunc(out, func(a, b change.Listed) int { return strings.Compare(a.Fingerprint, b.Fingerprint) })
	return out
}

// Types of nft's own that a person reads (enum datatypes of nftables' include/datatype.h).
const (
	typeIPv4    = 7
	typeIPv6    = 8
	typeService = 13
)

// keyWords writes a value of a set in words where its type is a plain one.
func keyWords(kind uint32, key []byte) string {
	switch {
	case kind == typeIPv4 && len(key) == 4, kind == typeIPv6 && len(key) == 16:
		a, _ := netip.AddrFromSlice(key)
		return a.String()
	case kind == typeService && len(key) == 2:
		return fmt.Sprint(int(key[0])<<8 | int(key[1]))
	}
	return fmt.Sprintf("0x%x", key)
}
