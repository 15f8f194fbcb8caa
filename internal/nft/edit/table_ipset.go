package edit

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"strconv"

	"golang.org/x/sys/unix"

	"github.com/natwarden/natwarden/internal/nft"
)

// ipsetFile is the file of a World that names the ipsets of its rules, which
// hold their numbers only: a JSON object from number to name.
const ipsetFile = "nf_tables.ipsets"

// namedIPSets gives the ipsets that the rules of a dump use; nil for none. One
// that cannot be asked for has no name.
func namedIPSets(ctx context.Context, d *nft.Dump) []byte {
	names, asked := map[string]string{}, newIPSets(ctx)
	for _, t := range d.Tables {
		for _, c := range t.Chains {
			for _, r := range c.Rules {
				for _, index := range ipsetsOf(r) {
					if name, err := asked.name(index); err == nil {
						names[strconv.Itoa(int(index))] = name
					}
				}
			}
		}
	}
	if len(names) == 0 {
		return nil
	}
	data, err := json.Marshal(names)
	if err != nil {
		return nil // strings: it cannot be
	}
	return append(data, '\n')
}

// setWord is in the attributes of every rule with an xt extension of ipset.
var setWord, setTargetWord = []byte("set\x00"), []byte("SET\x00")

// ipsetsOf is indices for rules of which hardly any has one.
func ipsetsOf(r *nft.Rule) []uint16 {
	if !bytes.Contains(r.Exprs, setWord) && !bytes.Contains(r.Exprs, setTargetWord) {
		return nil
	}
	return indices(r.Exprs)
}

func readIPSets(data []byte) (map[uint16]string, error) {
	out := map[uint16]string{}
	if data == nil {
		return out, nil
	}
	var names map[string]string
	if err := json.Unmarshal(data, &names); err != nil {
		return nil, fmt.Errorf("reading the names of ipsets: %w", err)
	}
	for text, name := range names {
		index, err := strconv.ParseUint(text, 10, 16)
		if err != nil {
			return nil, fmt.Errorf("reading the names of ipsets: %w", err)
		}
		out[uint16(index)] = name
	}
	return out, nil
}

// renumber gives the rules of a table the numbers that their ipsets have now, and
// says which those are (change.Object.Names).
func (t *tableView) renumber(names map[uint16]string, now *ipsets) (map[string]string, error) {
	var used map[string]string
	moved := renames{indices: map[uint16]uint16{}}
	for _, c := range t.Chains {
		for _, r := range c.Rules {
			for _, index := range ipsetsOf(r) {
				name, known := names[index]
				if !known {
					return nil, fmt.Errorf("a rule of chain %s uses an ipset (number %d) whose name was not kept: it may be another by now", c.Name, index)
				}
				is, err := now.index(name)
				if err != nil {
					return nil, err
				}
				if used == nil {
					used = map[string]string{}
				}
				used[strconv.Itoa(int(is))] = name
				if is != index {
					moved.indices[index] = is
				}
			}
		}
	}
	if len(moved.indices) > 0 {
		t.rewriteRules(moved)
	}
	return used, nil
}

// rewriteRules puts other numbers of ipsets into the rules of a table that was
// read from a file.
func (t *tableView) rewriteRules(moved renames) {
	for _, c := range t.Chains {
		for i, r := range c.Rules {
			if len(ipsetsOf(r)) == 0 {
				continue
			}
			again := &nft.Rule{}
			attrs := rewriteOne(r.Attrs, unix.NFTA_RULE_EXPRESSIONS, moved.expressions)
			if _, _, err := nft.ParseRule(attrs, again); err == nil { // it was parsed before
				c.Rules[i] = again
			}
		}
	}
}
