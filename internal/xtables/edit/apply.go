package edit

import (
	"fmt"
	"slices"

	"github.com/natwarden/natwarden/internal/change"
)

// job is steps being carried out in memory on tables taken apart.
type job struct {
	tables map[tableKey]*table
	broken map[tableKey]error
	sets   setFinder
	// touched are the tables that the steps changed, in order.
	touched []tableKey
	notes   []string
	stale   map[int]string // steps whose object is not there as it was
	undone  map[int]string // steps that could not be done for another reason
}

// newJob prepares to carry steps out on copies of the tables of w.
func newJob(tables map[tableKey]*table, broken map[tableKey]error) *job {
	j := &job{tables: make(map[tableKey]*table, len(tables)), broken: broken, stale: map[int]string{}, undone: map[int]string{}}
	for key, t := range tables {
		j.tables[key] = t.clone()
	}
	return j
}

// run carries the steps out in order.
func (j *job) run(steps []change.Step) {
	for i, s := range steps {
		switch {
		case s.Object() == nil:
			j.undone[i] = "the step names no object"
		case s.Object().Backend != "x_tables" || s.Object().Kind != "rule":
			j.undone[i] = fmt.Sprintf("a %s of %s is no rule of x_tables", s.Object().Kind, s.Object().Backend)
		case s.After == nil:
			j.take(i, s)
		case s.Before == nil:
			j.put(i, s)
		default:
			j.swap(i, s)
		}
	}
}

// chain finds the chain of an object, or says why there is none.
func (j *job) chain(o *change.Object) (*chain, string) {
	key := tableKey{o.Family, o.Table}
	t, there := j.tables[key]
	if err := j.broken[key]; err != nil {
		return nil, err.Error()
	}
	if !there {
		return nil, fmt.Sprintf("%s table %s is gone", o.Family, o.Table)
	}
	c, there := t.byName[o.Chain]
	if !there {
		return nil, fmt.Sprintf("chain %s is gone; create it again first", place(o))
	}
	return c, ""
}

func (j *job) touch(o *change.Object) {
	if key := (tableKey{o.Family, o.Table}); !slices.Contains(j.touched, key) {
		j.touched = append(j.touched, key)
	}
}

// take deletes the rule of step i.
func (j *job) take(i int, s change.Step) {
	c, why := j.chain(s.Before)
	if c == nil {
		j.stale[i] = why
		return
	}
	at := c.find(s.Before.Fingerprint, s.Place)
	if at < 0 {
		j.stale[i] = fmt.Sprintf("rule %d of %s is not there as it was: %s", s.Place.Index, place(s.Before), s.Before.Text)
		return
	}
	c.rules = slices.Delete(c.rules, at, at+1)
	j.touch(s.Before)
}

// put puts the rule of step i back.
func (j *job) put(i int, s change.Step) {
	c, e, ok := j.ready(i, s.After)
	if !ok {
		return
	}
	if c.stands(e.print, s.Place) {
		j.undone[i] = fmt.Sprintf("it is in %s already", place(s.After))
		return
	}
	at, note := c.gap(s.Place)
	if note != "" {
		j.notes = append(j.notes, fmt.Sprintf("%s: %s: %s", place(s.After), note, s.After.Text))
	}
	c.rules = slices.Insert(c.rules, at, e)
	j.touch(s.After)
}

// ready makes the entry of an object and finds its chain, or notes why not.
func (j *job) ready(i int, o *change.Object) (*chain, *entry, bool) {
	c, why := j.chain(o)
	if c == nil {
		j.undone[i] = why
		return nil, nil, false
	}
	e, err := restored(o, &j.sets)
	if err != nil {
		j.undone[i] = err.Error()
		return nil, nil, false
	}
	if _, there := j.tables[tableKey{o.Family, o.Table}].byName[e.jump]; e.jump != "" && !there {
		j.undone[i] = fmt.Sprintf("chain %s, to which the rule jumps, is gone; create it again first", e.jump)
		return nil, nil, false
	}
	return c, e, true
}

// swap puts one rule in the place of another.
func (j *job) swap(i int, s change.Step) {
	c, e, ok := j.ready(i, s.After)
	if !ok {
		return
	}
	at := c.find(s.Before.Fingerprint, s.Place)
	if at < 0 || s.Before.Chain != s.After.Chain || s.Before.Table != s.After.Table || s.Before.Family != s.After.Family {
		j.stale[i] = fmt.Sprintf("rule %d of %s is not there as it was: %s", s.Place.Index, place(s.Before), s.Before.Text)
		return
	}
	c.rules[at] = e
	j.touch(s.Before)
}
