package edit

import (
	"bytes"
	"context"
	"fmt"
	"slices"

	"github.com/natwarden/natwarden/internal/change"
	"github.com/natwarden/natwarden/internal/xtables"
)

// Check carries the steps out in memory, then their inverse, and requires the
// tables that the kernel has now, byte for byte: what the kernel runs it
// accepts again. The ipsets of the rules must be found by their names.
func (e *editor) Check(ctx context.Context, steps []change.Step) (map[int]string, error) {
	w, err := look(ctx)
	if err != nil {
		return nil, err
	}
	if isTables(steps) {
		return w.checkTables(steps), nil
	}
	there := newJob(w.tables, w.broken)
	defer there.sets.close()
	there.run(steps)
	failed := there.failures()
	kept := without(len(steps), failed)
	back := newJob(there.tables, there.broken)
	defer back.sets.close()
	back.run(inverse(steps, kept))
	for i, why := range back.failures() {
		failed[kept[len(kept)-1-i]] = "it could not be put back: " + why
	}
	if len(failed) == 0 {
		err = compare(w, there, back, steps, failed)
	}
	return failed, err
}

// failures are all steps that were not carried out.
func (j *job) failures() map[int]string {
	failed := map[int]string{}
	for i, why := range j.stale {
		failed[i] = why
	}
	for i, why := range j.undone {
		failed[i] = why
	}
	return failed
}

// without gives the indices below n that did not fail.
func without(n int, failed map[int]string) []int {
	var kept []int
	for i := range n {
		if _, bad := failed[i]; !bad {
			kept = append(kept, i)
		}
	}
	return kept
}

// inverse gives what undoes the kept steps, last first.
func inverse(steps []change.Step, kept []int) []change.Step {
	out := make([]change.Step, 0, len(kept))
	for _, i := range slices.Backward(kept) {
		out = append(out, steps[i].Inverse())
	}
	return out
}

// compare builds every touched table as it is, as it will be and as it will be
// again, and fails the steps of those that do not come back the same.
func compare(w *world, there, back *job, steps []change.Step, failed map[int]string) error {
	for _, key := range there.touched {
		why := ""
		if _, err := there.tables[key].build(); err != nil {
			why = err.Error()
		}
		was, err := w.tables[key].build()
		if err != nil {
			return err
		}
		if !bytes.Equal(was.Blob, w.blob(key)) {
			return fmt.Errorf("putting %s table %s together does not give what the kernel has", key.family, key.name)
		}
		again, err := back.tables[key].build()
		if err != nil {
			why = err.Error()
		} else if !sameButCounters(was, again) {
			why = "putting the rules back would not give the same table"
		}
		for i, s := range steps {
			if o := s.Object(); why != "" && o.Family == key.family && o.Table == key.name {
				failed[i] = why
			}
		}
	}
	return nil
}

func (w *world) blob(key tableKey) []byte {
	for _, t := range w.dump.Tables {
		if t.Family == key.family && t.Name == key.name {
			return t.Blob
		}
	}
	return nil
}

// sameButCounters compares two tables byte for byte, counters aside.
func sameButCounters(a, b *built) bool {
	return a.HookEntry == b.HookEntry && a.Underflow == b.Underflow && bytes.Equal(a.uncounted(), b.uncounted())
}

func (b *built) uncounted() []byte {
	t := *b.Table
	t.Blob = bytes.Clone(t.Blob)
	for i := range t.Entries {
		xtables.PutCounters(t.Family, t.Raw(i), xtables.Counters{})
	}
	return t.Blob
}
