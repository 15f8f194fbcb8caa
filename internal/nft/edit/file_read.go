package edit

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/natwarden/natwarden/internal/nft"
)

// fileReader rebuilds a dump from records, each of which must fit what came before.
type fileReader struct {
	dump    *nft.Dump
	table   *nft.Table
	chain   *nft.Chain
	set     *nft.Set
	stage   int
	records uint32
	ended   bool
}

var errMisplaced = errors.New("a record stands where it does not belong")

func (r *fileReader) take(kind, family byte, payload []byte) error {
	if (r.records == 0) != (kind == 'G') {
		return errMisplaced
	}
	inTable := kind != 'G' && kind != 'T' && kind != 'Z'
	if inTable && (r.table == nil || family != r.table.Family) || (kind == 'G' || kind == 'Z') && family != 0 {
		return errMisplaced
	}
	if inTable && stages[kind] < r.stage {
		return errMisplaced
	}
	r.stage = stages[kind]
	err := r.add(kind, family, payload)
	r.records++
	return err
}

// stages is the order of records in a table.
var stages = map[byte]int{'C': 1, 'R': 1, 'S': 2, 'E': 2, 'O': 3}

func (r *fileReader) add(kind, family byte, payload []byte) error {
	switch kind {
	case 'G':
		return number(payload, &r.dump.Generation)
	case 'T':
		return r.addTable(family, payload)
	case 'C':
		return r.addChain(payload)
	case 'R':
		return r.addRule(payload)
	case 'S':
		return r.addSet(payload)
	case 'E':
		return r.addElement(payload)
	case 'O':
		r.table.Others = append(r.table.Others, payload)
		return whole(payload)
	case 'Z':
		return r.end(payload)
	}
	return fmt.Errorf("kind %q is unknown", kind)
}

func number(payload []byte, to *uint32) error {
	if len(payload) != 4 {
		return errors.New("a number of 4 bytes was expected")
	}
	*to = binary.BigEndian.Uint32(payload)
	return nil
}

func whole(attrs []byte) error { return nft.Walk(attrs, func(uint16, []byte) {}) }

func (r *fileReader) addTable(family byte, attrs []byte) (err error) {
	r.table, err = nft.ParseTable(family, attrs)
	r.chain, r.set = nil, nil
	r.dump.Tables = append(r.dump.Tables, r.table)
	return err
}

func (r *fileReader) addChain(attrs []byte) error {
	c, table, err := nft.ParseChain(attrs)
	if err == nil && string(table) != r.table.Name {
		err = errMisplaced
	}
	r.chain = c
	r.table.Chains = append(r.table.Chains, c)
	return err
}

func (r *fileReader) addRule(attrs []byte) error {
	rule := &nft.Rule{}
	table, chain, err := nft.ParseRule(attrs, rule)
	switch {
	case err != nil:
		return err
	case r.chain == nil, string(table) != r.table.Name, string(chain) != r.chain.Name:
		return errMisplaced
	}
	r.chain.Rules = append(r.chain.Rules, rule)
	return nil
}

func (r *fileReader) addSet(attrs []byte) error {
	s, table, err := nft.ParseSet(attrs)
	if err == nil && string(table) != r.table.Name {
		err = errMisplaced
	}
	r.set = s
	r.table.Sets = append(r.table.Sets, s)
	return err
}

func (r *fileReader) addElement(attrs []byte) error {
	if r.set == nil {
		return errMisplaced
	}
	r.set.Elements = append(r.set.Elements, attrs)
	return whole(attrs)
}

func (r *fileReader) end(payload []byte) error {
	var n uint32
	if err := number(payload, &n); err != nil {
		return err
	}
	if n != r.records {
		return fmt.Errorf("%d records were read, %d written", r.records, n)
	}
	r.ended = true
	return nil
}
