package edit

import (
	"context"
	"fmt"
	"slices"
	"time"

	"golang.org/x/sys/unix"

	"github.com/natwarden/natwarden/internal/change"
	"github.com/natwarden/natwarden/internal/nft"
)

// FileName is the name under which World gives the raw dump.
const FileName = "nf_tables.raw"

// World reads everything that verification compares and snapshots keep.
func (e editor) World(ctx context.Context) (*change.World, error) {
	d, err := e.dump(ctx)
	if err != nil {
		return nil, err
	}
	w := worldOf(d)
	if names := namedIPSets(ctx, d); names != nil {
		w.Files[ipsetFile] = names
	}
	return w, nil
}

func worldOf(d *nft.Dump) *change.World {
	places, tables := map[string][]string{}, map[string]uint64{}
	for _, t := range viewOf(d).order {
		where := fmt.Sprintf("%s %s", familyName(t.Family), t.Name)
		tables[where] = t.Handle
		places[where] = append(places[where], t.contents()...)
		for _, c := range t.Chains {
			if cv := t.chains[c.Name]; !cv.anonymous() {
				key := where + " " + c.Name
				places[key] = append(places[key], cv.fingerprints()...)
			}
		}
		for _, s := range t.Sets {
			if settled(s) {
				key := where + " @" + s.Name
				places[key] = append(places[key], t.printer.SetContents(s)...)
			}
		}
	}
	return &change.World{
		Backend:    Backend,
		Generation: d.Generation,
		Places:     places,
		Tables:     tables,
		Files:      map[string][]byte{FileName: WriteFile(d)},
		Readable: func() map[string][]byte {
			return map[string][]byte{"nf_tables.txt": []byte(nft.Listing(d, nft.Env{Now: time.Now()}))}
		},
	}
}

// settled says whether only commits change a set: not packets, not time. What
// is in an anonymous set is part of its rule.
func settled(s *nft.Set) bool {
	return s.Flags&(unix.NFT_SET_ANONYMOUS|unix.NFT_SET_EVAL|unix.NFT_SET_TIMEOUT) == 0
}

// Attributes that change by themselves or with every commit.
const (
	chainFlags = 10 // NFTA_CHAIN_FLAGS
	chainID    = 11 // NFTA_CHAIN_ID
	tableUse   = unix.NFTA_TABLE_USE
	tableHndl  = 4  // NFTA_TABLE_HANDLE
	setHandle  = 16 // NFTA_SET_HANDLE
	setType    = 19 // NFTA_SET_TYPE
	setCount   = 20 // NFTA_SET_COUNT
)

// contents describes a table: itself, its chains, its named sets, its objects
// and flowtables, sorted.
func (t *tableView) contents() []string {
	out := []string{"table " + nft.Raw(t.Attrs, tableUse, tableHndl)}
	for _, c := range t.Chains {
		if c.Flags&chainBinding == 0 {
			out = append(out, "chain "+c.Name+" "+nft.Raw(c.Attrs, unix.NFTA_CHAIN_USE, unix.NFTA_CHAIN_HANDLE, unix.NFTA_CHAIN_COUNTERS, chainID))
		}
	}
	for _, s := range t.Sets {
		if s.Flags&unix.NFT_SET_ANONYMOUS == 0 {
			out = append(out, "set "+s.Name+" "+nft.Raw(s.Attrs, setHandle, setType, setCount))
		}
	}
	for _, o := range t.Others {
		out = append(out, otherPrint(o))
	}
	slices.Sort(out)
	return out
}
