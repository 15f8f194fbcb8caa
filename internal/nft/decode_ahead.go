package nft

import (
	"context"
	"maps"
	"runtime"
	"sync"
)

// ReadDecoded is Read and Decode in one: rules of large tables are decoded while
// the kernel makes the rest of the dump, which takes it longer. world says what
// decoding needs to know; it is called once, where there are tables, by the caller's
// goroutine. What was decoded of a reading that a change overtook is thrown away.
func ReadDecoded(ctx context.Context, world func() Env) (*Dump, Decoded, error) {
	world = sync.OnceValue(world)
	d, early, err := readWith(ctx, Options{}, world)
	if err != nil || len(d.Tables) == 0 {
		return d, Decoded{}, err
	}
	return d, decode(d, world(), early), nil
}

// handful is how many rules are decoded at once.
const handful = 512

// ahead decodes rules beside the reading of others.
type ahead struct {
	tables map[*Table]*tableDecoder // those that are decoded so
	jobs   chan []*stretch
	wait   sync.WaitGroup

	mu       sync.Mutex
	done     map[*Table]map[*Chain][]*stretch // in the order of the rules
	filled   map[*Table]map[string]bool       // ipsets that the rules name
	branches int
}

// newAhead begins to decode; nil where no table is worth it. All of the tables but
// their rules was read.
func newAhead(d *Dump, world func() Env) *ahead {
	a := &ahead{tables: map[*Table]*tableDecoder{}, done: map[*Table]map[*Chain][]*stretch{}, filled: map[*Table]map[string]bool{}}
	for _, t := range d.Tables {
		if usesOf(t) < manyRules {
			continue
		}
		// A rule with a chain of its own is known by the rules of that chain.
		if begun := (&decoder{env: world()}).begin(t); len(begun.anon) == 0 {
			a.tables[t], a.done[t], a.filled[t] = begun, map[*Chain][]*stretch{}, map[string]bool{}
		}
	}
	if len(a.tables) == 0 {
		return nil
	}
	workers := runtime.GOMAXPROCS(0)
	a.jobs = make(chan []*stretch, 2*workers) // who reads faster than rules are decoded waits
	for range workers {
		a.wait.Go(a.work)
	}
	return a
}

// work decodes what comes until nothing more does.
func (a *ahead) work() {
	mine := map[*Table]*tableDecoder{}
	for job := range a.jobs {
		for _, s := range job {
			if mine[s.table] == nil {
				mine[s.table] = a.tables[s.table].part()
			}
			mine[s.table].decode(s)
		}
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	for table, t := range mine {
		maps.Copy(a.filled[table], t.out.Filled)
		a.branches += t.branches
	}
}

// take hands rules over; those of one chain come in their order.
func (a *ahead) take(job []*stretch) {
	a.mu.Lock()
	for _, s := range job {
		a.done[s.table][s.chain] = append(a.done[s.table][s.chain], s)
	}
	a.mu.Unlock()
	a.jobs <- job
}

// finish waits until everything is decoded that was handed over.
func (a *ahead) finish() {
	if a != nil {
		close(a.jobs)
		a.wait.Wait()
	}
}

// of gives what is decoded of a table, by chains. It is nothing where packets
// fill a set, which is known from all rules only, and where the rules make so many
// branches that which of them are told apart depends on the order.
func (a *ahead) of(t *tableDecoder) map[*Chain][]*stretch {
	if a == nil || a.tables[t.raw] == nil || len(t.dynamic) > 0 || a.branches > maxTotal {
		return nil
	}
	maps.Copy(t.out.Filled, a.filled[t.raw])
	return a.done[t.raw]
}
