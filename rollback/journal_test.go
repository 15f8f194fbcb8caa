package rollback

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/natwarden/natwarden/internal/change"
)

func TestJournal(t *testing.T) {
	s := newStore(t)
	j := begin(t, s)
	for _, e := range []Entry{
		{Event: Intend, Group: 0}, {Event: DoneEvent, Group: 0},
		{Event: CutEvent, Group: -1, Cut: []change.Step{{Action: change.Cut, Before: &change.Object{Text: "<&> \u2028"}}}},
		{Event: Verified, Group: -1},
	} {
		note(t, j, e)
	}
	c, err := s.Load("20261123")
	if err != nil {
		t.Fatal(err)
	}
	groups, indices := c.Begun()
	if !c.IsVerified() || c.IsRolledBack() || c.Torn || len(groups) != 1 || indices[0] != 0 || len(c.Cuts()) != 1 {
		t.Errorf("%+v", c)
	}
	want := somePlan(t, someID).Groups[0].Steps[0].Before
	if got := groups[0].Steps[0].Before; got.Table != want.Table || !bytes.Equal(got.Raw, want.Raw) {
		t.Errorf("got %+v, want %+v", got, want)
	}
	next, err := s.Continue(c)
	if err != nil {
		t.Fatal(err)
	}
	defer next.Close()
	note(t, next, Entry{Event: RolledBack, Group: -1})
	if c, err = s.Newest(); err != nil || !c.IsRolledBack() || c.IsVerified() || len(c.Entries) != 6 {
		t.Errorf("%+v %v", c, err)
	}
}

func TestStepsThatWereReplaced(t *testing.T) {
	s := newStore(t)
	j := begin(t, s)
	other := somePlan(t, someID).Groups[0]
	other.Generation = 99
	note(t, j, Entry{Event: Intend, Group: 0})
	note(t, j, Entry{Event: Intend, Group: 0, Replaced: &other})
	c, err := s.Newest()
	if err != nil {
		t.Fatal(err)
	}
	if groups, _ := c.Begun(); len(groups) != 1 || groups[0].Generation != 99 {
		t.Errorf("%+v", groups)
	}
}

func TestWhatEndsAChange(t *testing.T) {
	for _, c := range []struct {
		events         []string
		back, verified bool
	}{
		{nil, false, false},
		{[]string{Intend}, false, false},
		{[]string{Intend, DoneEvent, Verified}, false, true},
		{[]string{Intend, DoneEvent, FailedWith, PutBack, RolledBack}, true, false},
		{[]string{Intend, FailedWith}, false, false},
		{[]string{Intend, DoneEvent, Verified, Restore}, false, true},
		{[]string{Intend, DoneEvent, Verified, Restore, PartlyBack}, false, false},
		{[]string{Intend, DoneEvent, Verified, PartlyBack, RolledBack}, true, false},
	} {
		ch := &Change{}
		for _, e := range c.events {
			ch.Entries = append(ch.Entries, Entry{Event: e})
		}
		if ch.IsRolledBack() != c.back || ch.IsVerified() != c.verified {
			t.Errorf("%v: rolled back %v, verified %v", c.events, ch.IsRolledBack(), ch.IsVerified())
		}
	}
}

// A journal cut at any byte is read as far as it goes, or refused; it never
// tells more than was written.
func TestTornJournal(t *testing.T) {
	s := newStore(t)
	j := begin(t, s)
	note(t, j, Entry{Event: Intend, Group: 0})
	note(t, j, Entry{Event: DoneEvent, Group: 0})
	path := filepath.Join(s.changes.path, someID, journalName)
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	first := bytes.IndexByte(whole, '\n') + 1
	for n := range whole {
		if err := os.WriteFile(path, whole[:n], 0o600); err != nil {
			t.Fatal(err)
		}
		c, err := s.Load(someID)
		lines := bytes.Count(whole[:n], []byte("\n"))
		switch {
		case n < first && err == nil:
			t.Fatalf("%d bytes: no error though not even the first line is there", n)
		case n >= first && (err != nil || len(c.Entries) != lines || c.Torn != (whole[n-1] != '\n')):
			t.Fatalf("%d bytes: %+v %v", n, c, err)
		}
	}
	checkContinuesAfterTear(t, s, path, whole[:len(whole)-3])
}

func checkContinuesAfterTear(t *testing.T, s *Store, path string, torn []byte) {
	t.Helper()
	if err := os.WriteFile(path, torn, 0o600); err != nil {
		t.Fatal(err)
	}
	c, err := s.Load(someID)
	if err != nil || !c.Torn {
		t.Fatal(c, err)
	}
	j, err := s.Continue(c)
	if err != nil {
		t.Fatal(err)
	}
	defer j.Close()
	note(t, j, Entry{Event: RolledBack, Group: -1})
	if c, err = s.Load(someID); err != nil || c.Torn || len(c.Entries) != 3 || !c.IsRolledBack() {
		t.Errorf("%+v %v", c, err)
	}
}

func TestEveryChangedByteIsSeen(t *testing.T) {
	s := newStore(t)
	j := begin(t, s)
	note(t, j, Entry{Event: Intend, Group: 0})
	note(t, j, Entry{Event: Verified, Group: -1})
	read := func(file string) []byte {
		data, err := os.ReadFile(filepath.Join(s.changes.path, someID, file))
		if err != nil {
			t.Fatal(err)
		}
		return data
	}
	plan, journal := read(planName), read(journalName)
	if _, err := parseChange(plan, journal); err != nil {
		t.Fatal(err)
	}
	for _, data := range [][]byte{plan, journal} {
		for i := range data {
			data[i] ^= 1
			if c, err := parseChange(plan, journal); err == nil && !c.Torn {
				t.Fatalf("byte %d changed and nobody saw it: %.40q", i, data[i:])
			}
			data[i] ^= 1
		}
	}
}

func TestDamageNamesItsPlace(t *testing.T) {
	s := newStore(t)
	j := begin(t, s)
	note(t, j, Entry{Event: Intend, Group: 0})
	note(t, j, Entry{Event: DoneEvent, Group: 0})
	path := filepath.Join(s.changes.path, someID, journalName)
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	lines := bytes.SplitAfter(whole, []byte("\n"))
	for want, spoilt := range map[string][]byte{
		"line 2 (byte ":  bytes.Replace(whole, []byte(`"intend"`), []byte(`"inten"`), 1),
		"calls itself":   slices.Concat(lines[0], lines[2]),
		"line 3":         slices.Concat(lines[0], lines[1], []byte("{}\n")),
		"does not begin": {},
	} {
		if err := os.WriteFile(path, spoilt, 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := s.Load(someID); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("want %q, got %v", want, err)
		}
	}
}

func TestAPlanOfAnotherChangeIsRefused(t *testing.T) {
	s := newStore(t)
	begin(t, s)
	other := "20261124T120000Z-0001"
	if err := os.Rename(filepath.Join(s.changes.path, someID), filepath.Join(s.changes.path, other)); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Newest(); err == nil || !strings.Contains(err.Error(), someID) {
		t.Error(err)
	}
}

func TestPlansThatCannotBe(t *testing.T) {
	s := newStore(t)
	for name, spoil := range map[string]func(*Plan){
		"no id":          func(p *Plan) { p.Change = "../x" },
		"no backend":     func(p *Plan) { p.Groups[0].Backend = "" },
		"no object":      func(p *Plan) { p.Groups[0].Steps[0].Before = nil },
		"unknown action": func(p *Plan) { p.Groups[0].Steps[0].Action = "flush" },
		"edit of half":   func(p *Plan) { p.Groups[0].Steps[0].Action = change.Edit },
	} {
		p := somePlan(t, someID)
		spoil(&p)
		if _, err := s.Begin(p, noon); err == nil {
			t.Errorf("%s: it was begun", name)
		}
	}
	if names, _ := s.changes.names(); len(names) != 0 {
		t.Errorf("left behind: %q", names)
	}
}

func TestChangeIDsSortByAge(t *testing.T) {
	s := newStore(t)
	last := ""
	for _, now := range []time.Time{noon, noon, noon.Add(-time.Hour), noon.Add(time.Hour)} {
		id, err := s.NewChangeID(now)
		if err != nil || id <= last {
			t.Errorf("%q after %q: %v", id, last, err)
		}
		j, err := s.Begin(somePlan(t, id), now)
		if err != nil {
			t.Fatal(err)
		}
		j.Close()
		last = id
	}
	c, err := s.Newest()
	if err != nil || c.ID != last {
		t.Errorf("%+v %v", c, err)
	}
}

func TestNoChange(t *testing.T) {
	s := newStore(t)
	if _, err := s.Newest(); !errors.Is(err, ErrUnknownID) {
		t.Error(err)
	}
}

func TestSameHost(t *testing.T) {
	here := Origin{BootID: "b", Machine: "m", Host: "h"}
	for _, c := range []struct {
		o    Origin
		want bool
	}{
		{Origin{BootID: "b", Machine: "m", Host: "renamed"}, true},
		{Origin{BootID: "before", Machine: "m", Host: "h"}, true},
		{Origin{BootID: "before", Machine: "m", Host: "clone"}, false},
		{Origin{BootID: "before", Machine: "other", Host: "h"}, false},
	} {
		if got := c.o.SameHost(here); got != c.want {
			t.Errorf("%+v: %v", c.o, got)
		}
	}
}

func seeds(f *testing.F) (plan, journal []byte) {
	f.Helper()
	plan, err := marshalPlan(Plan{Change: someID, Groups: []Group{{Backend: "x"}}})
	if err != nil {
		f.Fatal(err)
	}
	path := filepath.Join(f.TempDir(), "s")
	s, err := Create(path)
	if err != nil {
		f.Fatal(err)
	}
	defer s.Close()
	j, err := s.Begin(Plan{Change: someID, Groups: []Group{{Backend: "x"}}}, noon)
	if err != nil {
		f.Fatal(err)
	}
	defer j.Close()
	if err := j.Write(Entry{Event: Intend}); err != nil {
		f.Fatal(err)
	}
	journal, err = os.ReadFile(filepath.Join(path, changesDir, someID, journalName))
	if err != nil {
		f.Fatal(err)
	}
	return plan, journal
}

func FuzzChange(f *testing.F) {
	plan, journal := seeds(f)
	f.Add(plan, journal)
	f.Add(plan, journal[:len(journal)-4])
	f.Fuzz(func(t *testing.T, plan, journal []byte) {
		c, err := parseChange(plan, journal)
		if err != nil {
			return
		}
		groups, indices := c.Begun()
		if len(groups) != len(indices) || c.IsRolledBack() && c.IsVerified() {
			t.Errorf("%+v", c)
		}
		c.Cuts()
	})
}

func FuzzJournal(f *testing.F) {
	_, journal := seeds(f)
	f.Add(journal)
	f.Fuzz(func(t *testing.T, data []byte) {
		c, err := parseJournal(data)
		if err == nil && (c.length > int64(len(data)) || c.Torn == (c.length == int64(len(data)))) {
			t.Errorf("%d of %d bytes, torn %v", c.length, len(data), c.Torn)
		}
	})
}

func FuzzPlan(f *testing.F) {
	plan, _ := seeds(f)
	f.Add(plan)
	f.Fuzz(func(t *testing.T, data []byte) {
		p, err := ParsePlan(data)
		if err != nil {
			return
		}
		for _, g := range p.Groups {
			for _, s := range g.Steps {
				if s.Object() == nil {
					t.Error("a step without an object went through")
				}
			}
		}
	})
}
