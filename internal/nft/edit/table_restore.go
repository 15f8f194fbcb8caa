package edit

import (
	"fmt"
	"strconv"

	"golang.org/x/sys/unix"

	"github.com/natwarden/natwarden/internal/change"
	"github.com/natwarden/natwarden/internal/nft"
)

// pieceBase is the number of the first piece of a table in a batch, well above
// those of steps: what the kernel refuses of a table is said piece by piece.
const pieceBase = 1 << 30

// piece is a part of a table that a step makes: its rule, set, chain.
type piece struct {
	step int
	what string
}

// table adds the messages that take a whole table away and make it another one.
// What was read must still be there: anything else is left.
func (b *batch) table(s *step) {
	o := s.Object()
	key := tableKey{o.Family, o.Table}
	live, known := b.tables[key]
	if !known && b.view.tables[key] != nil {
		live = b.view.tables[key].fingerprint()
	}
	switch was := printOf(s.Before); {
	case live != was && was == "":
		b.leave(s.number, "table %s %s is there again", o.Family, o.Table)
		return
	case live != was:
		b.leave(s.number, "table %s %s is not as it was read, or is gone", o.Family, o.Table)
		return
	}
	var becomes *tableView
	if s.After != nil {
		var err error
		if becomes, err = b.tableOf(s.After); err != nil {
			b.leave(s.number, "table %s %s cannot be restored: %v", o.Family, o.Table, err)
			return
		}
	}
	if s.Before != nil {
		family := protocol(o.Family)
		b.add(s.number, unix.NFT_MSG_DELTABLE, 0, family, nft.AppendText(nil, unix.NFTA_TABLE_NAME, o.Table))
	}
	if becomes != nil {
		b.makeTable(s.number, becomes)
	}
	if b.tables == nil {
		b.tables = map[tableKey]string{}
	}
	b.tables[key] = printOf(s.After)
}

// makeTable adds the messages that make a table.
func (b *batch) makeTable(number int, t *tableView) {
	l := &loader{batch: b, t: t, n: pieceBase + len(b.pieces)}
	l.table()
	for _, what := range l.words {
		b.pieces = append(b.pieces, piece{number, what})
	}
}

// tableOf reads the one table of an object, and sees that its ipsets have the
// numbers that its rules hold.
func (b *batch) tableOf(o *change.Object) (*tableView, error) {
	d, err := ReadFile(o.Raw)
	if err != nil {
		return nil, err
	}
	if len(d.Tables) != 1 || d.Tables[0].Name != o.Table || familyName(d.Tables[0].Family) != o.Family {
		return nil, fmt.Errorf("what was recorded is not that table")
	}
	t := viewOf(d).order[0]
	if t.fingerprint() != o.Fingerprint {
		return nil, fmt.Errorf("what was recorded does not fit its fingerprint")
	}
	if why := t.unlike(); why != "" {
		return nil, fmt.Errorf("%s", why)
	}
	for text, name := range o.Names {
		is, err := b.ipsets.index(name)
		if err != nil {
			return nil, err
		}
		if strconv.Itoa(int(is)) != text {
			return nil, fmt.Errorf("ipset %s has another number than was read", name)
		}
	}
	return t, nil
}

func printOf(o *change.Object) string {
	if o == nil {
		return ""
	}
	return o.Fingerprint
}

// bySteps says of refusals by the kernel which steps they are about.
func (b *batch) bySteps(failed map[int]string) map[int]string {
	out := map[int]string{}
	for _, number := range sorted(failed) {
		step, why := number, failed[number]
		if number > pieceBase && number-pieceBase <= len(b.pieces) {
			p := b.pieces[number-pieceBase-1]
			step, why = p.step, p.what+": "+why
		}
		if out[step] == "" {
			out[step] = why
		}
	}
	return out
}
