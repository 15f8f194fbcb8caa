package change

import "context"

// KindTable is the kind of an object that is a whole table: its chains with
// their policies and rules, its sets with their elements, its objects.
const KindTable = "table"

// Restorer is an Editor that can also make a whole table what it was before:
// its Check and Edit take steps of the action Restore, alone in their list.
type Restorer interface {
	Editor
	// TableFiles names the files that Tables reads, of those that a World gives.
	TableFiles() []string
	// Tables gives the tables that files of a World hold (World.Files), in their
	// order. Equal fingerprints are equal tables, but for handles, counters and
	// what packets fill. Files of another boot are read as what they mean now.
	Tables(ctx context.Context, files map[string][]byte) ([]Table, error)
	// ListTable reads the Raw of such an object as the places of a World, with the
	// words of what stands there.
	ListTable(raw []byte) (map[string][]Listed, error)
}

// Table is a whole table as an object of a step.
type Table struct {
	Object Object
	// Unlike says what of it the kernel would not take back as it is; "" for nothing.
	Unlike string
	// Besides are what a restoration does that no fingerprint shows, in words.
	Besides []string
	// Shares are tables with chains at the same hook and priority: which of them run
	// first may be another when the table is made anew.
	Shares []string
}

// SameTable says whether two tables are equal. None at all (nil) equals one that
// does nothing and that nobody can take away: its fingerprint is "".
func SameTable(a, b *Object) bool { return tablePrint(a) == tablePrint(b) }

func tablePrint(o *Object) string {
	if o == nil {
		return ""
	}
	return o.Fingerprint
}
