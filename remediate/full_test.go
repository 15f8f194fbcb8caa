package remediate

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/natwarden/natwarden/internal/change"
	"github.com/natwarden/natwarden/internal/host"
	"github.com/natwarden/natwarden/rollback"
)

// tabled is a kernel whose whole tables can be restored. Its places are "ip nat
// PREROUTING", those of x_tables begin with "legacy ".
type tabled struct {
	*kernel
	tick   func()
	unlike string            // of every table
	checks map[string]string // table to why it cannot be restored
	others func()            // before each Edit of tables
}

func (k *tabled) World(ctx context.Context) (*change.World, error) {
	if k.tick != nil {
		k.tick()
	}
	w, err := k.kernel.World(ctx)
	data, _ := json.Marshal(k.places)
	w.Files["tables.json"] = data
	return w, err
}

func (k *tabled) TableFiles() []string { return []string{"tables.json"} }

// split gives the family and the name of the table of a place.
func (k *tabled) split(place string) (family, table string) {
	w := strings.SplitN(strings.TrimPrefix(place, "legacy "), " ", 3)
	return w[0], w[1]
}

func (k *tabled) Tables(_ context.Context, files map[string][]byte) (out []change.Table, err error) {
	var places map[string][]string
	if err := json.Unmarshal(files["tables.json"], &places); err != nil {
		return nil, err
	}
	tables := map[[2]string]map[string][]string{}
	for place, prints := range places {
		family, table := k.split(place)
		id := [2]string{family, table}
		if tables[id] == nil {
			tables[id] = map[string][]string{}
		}
		tables[id][place] = prints
	}
	for id, places := range tables {
		raw, _ := json.Marshal(places)
		out = append(out, change.Table{Unlike: k.unlike, Object: change.Object{Kind: change.KindTable, Backend: k.backend,
			Family: host.Family(id[0]), Table: id[1], Fingerprint: string(raw), Raw: raw, Text: fmt.Sprintf("chains: %d", len(places))}})
	}
	return out, nil
}

func (k *tabled) ListTable(raw []byte) (map[string][]change.Listed, error) {
	var places map[string][]string
	err := json.Unmarshal(raw, &places)
	out := map[string][]change.Listed{}
	for place, prints := range places {
		for _, p := range prints {
			out[place] = append(out[place], change.Listed{Fingerprint: p, Text: "rule " + p})
		}
	}
	return out, err
}

func (k *tabled) Check(ctx context.Context, steps []change.Step) (map[int]string, error) {
	if !ofTables(steps) {
		return k.kernel.Check(ctx, steps)
	}
	failed := map[int]string{}
	for i, s := range steps {
		if why := k.checks[s.Object().Table]; why != "" {
			failed[i] = why
		}
	}
	return failed, nil
}

func (k *tabled) Edit(ctx context.Context, generation uint32, steps []change.Step) (change.Outcome, error) {
	if k.tick != nil {
		k.tick()
		defer k.tick()
	}
	if !ofTables(steps) {
		return k.kernel.Edit(ctx, generation, steps)
	}
	if k.others != nil {
		k.others()
	}
	if generation != 0 && generation != k.generation || k.staleTimes > 0 {
		k.staleTimes--
		return change.Outcome{}, change.ErrStale
	}
	k.edits++
	if k.onEdit != nil {
		if err := k.onEdit(k.edits, steps); err != nil {
			return change.Outcome{}, err
		}
	}
	for _, s := range steps {
		o := s.Object()
		maps.DeleteFunc(k.places, func(place string, _ []string) bool {
			family, table := k.split(place)
			return family == string(o.Family) && table == o.Table
		})
		if s.After != nil {
			if err := json.Unmarshal(s.After.Raw, &k.places); err != nil {
				return change.Outcome{}, err
			}
		}
	}
	if k.generation > 0 {
		k.generation++
	}
	if k.afterEdit != nil {
		return change.Outcome{}, k.afterEdit(k.edits)
	}
	return change.Outcome{}, nil
}

// rewritten is a host after a remediation whose tables others changed since:
// the chain of nf_tables has another rule, that of x_tables is gone.
func rewritten(t *testing.T) (nft, legacy *tabled, o Options, done *Result) {
	t.Helper()
	n, l, rows := web()
	nft, legacy = &tabled{kernel: n}, &tabled{kernel: l}
	nft.places["ip other X"] = []string{"o"}
	o = options(t)
	done, err := Run(context.Background(), rows, nil, here(), []change.Editor{nft, legacy}, o)
	wantResult(t, done, err, Done, 0)
	rewrite(nft, legacy)
	o.Full = true
	return nft, legacy, o, done
}

func rewrite(nft, legacy *tabled) {
	nft.places[nat], nft.places["ip other X"] = []string{"z", "d"}, []string{"o", "p"}
	nft.generation++
	delete(legacy.places, legacyNat)
}

func wantOthers(t *testing.T, nft, legacy *tabled) {
	t.Helper()
	wantPlaces(t, nft.kernel, nat, "z", "d")
	if _, there := legacy.places[legacyNat]; there {
		t.Error("the table of x_tables is there")
	}
}

func wantSnapshot(t *testing.T, nft, legacy *tabled) {
	t.Helper()
	wantPlaces(t, nft.kernel, nat, "a", "b", "c", "d")
	wantPlaces(t, nft.kernel, "ip other X", "o", "p")
	wantPlaces(t, legacy.kernel, legacyNat, "v", "w")
}

func loadChange(t *testing.T, o Options, id string) *rollback.Change {
	t.Helper()
	s, err := rollback.Open(o.StateDir)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	c, err := s.Load(id)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestWholeTablesAndBack(t *testing.T) {
	nft, legacy, o, done := rewritten(t)
	editors := []change.Editor{nft, legacy}
	plain := o
	plain.Full = false
	dry := o
	dry.DryRun = true
	r, err := Rollback(context.Background(), "", resolveHere, editors, dry)
	wantResult(t, r, err, Pending, 2)
	if len(r.Steps) != 2 || r.Steps[0].Action != change.Restore || r.Steps[0].Object != "table ip nat" || r.Steps[1].Before != "not there" ||
		len(r.Steps[0].IDs) != 2 || r.Restores != done.Change || len(r.Differences) != 6 || r.Differences[0].Kind != change.Removed {
		t.Errorf("%+v", r)
	}
	wantOthers(t, nft, legacy)

	r, err = Rollback(context.Background(), "", resolveHere, editors, o)
	wantResult(t, r, err, Done, 0)
	wantSnapshot(t, nft, legacy)
	if r.Change == done.Change || r.Restores != done.Change || !loadChange(t, o, done.Change).IsRolledBack() || !loadChange(t, o, r.Change).IsVerified() {
		t.Errorf("%+v", r)
	}
	full := r.Change
	if r, err = Recover(context.Background(), resolveHere, editors, plain); err != nil || r.Status != Nothing {
		t.Errorf("%+v, %v", r, err)
	}

	r, err = Rollback(context.Background(), "", resolveHere, editors, plain)
	wantResult(t, r, err, Done, 0)
	wantOthers(t, nft, legacy)
	if r.Change != full || loadChange(t, o, done.Change).IsRolledBack() {
		t.Errorf("the change that stands again is still called rolled back: %+v", r)
	}
	for _, options := range []Options{plain, o} { // never the one before
		r, err = Rollback(context.Background(), "", resolveHere, editors, options)
		wantResult(t, r, err, Nothing, 0)
		wantOthers(t, nft, legacy)
	}
	r, err = Rollback(context.Background(), done.Change, resolveHere, editors, o)
	wantResult(t, r, err, Done, 0)
	wantSnapshot(t, nft, legacy)
	r, err = Rollback(context.Background(), done.Change, resolveHere, editors, o)
	wantResult(t, r, err, Nothing, 0)
}

// What somebody made of a table after it was restored is not taken away unasked.
func TestARestoredTableThatOthersChangedIsLeft(t *testing.T) {
	nft, legacy, o, _ := rewritten(t)
	editors := []change.Editor{nft, legacy}
	full, err := Rollback(context.Background(), "", resolveHere, editors, o)
	wantResult(t, full, err, Done, 0)
	nft.places[nat] = append(nft.places[nat], "theirs")
	plain := o
	plain.Full = false
	r, err := Rollback(context.Background(), "", resolveHere, editors, plain)
	wantResult(t, r, err, Done, 2)
	wantPlaces(t, nft.kernel, nat, "a", "b", "c", "d", "theirs")
	if len(r.Left) == 0 || !strings.Contains(r.Left[0].Why, "changed since; natwarden rollback "+full.Change+" --full") {
		t.Errorf("left %+v", r.Left)
	}
	r, err = Rollback(context.Background(), full.Change, resolveHere, editors, o)
	wantResult(t, r, err, Done, 0)
	wantOthers(t, nft, legacy)
}

func TestFullRefusals(t *testing.T) {
	for name, c := range map[string]struct {
		spoil func(t *testing.T, nft, legacy *tabled, o *Options, done *Result)
		why   string
	}{
		"the snapshot is lost": {func(t *testing.T, _, _ *tabled, o *Options, done *Result) {
			t.Helper()
			if err := os.RemoveAll(filepath.Join(o.StateDir, "snapshots", done.Snapshot)); err != nil {
				t.Fatal(err)
			}
		}, "needs the snapshot of change"},
		"the snapshot is damaged": {func(t *testing.T, _, _ *tabled, o *Options, done *Result) {
			t.Helper()
			file := filepath.Join(o.StateDir, "snapshots", done.Snapshot, "here+nf_tables+tables.json")
			_ = os.Chmod(file, 0o600)
			if err := os.WriteFile(file, []byte("{}"), 0o600); err != nil {
				t.Fatal(err)
			}
		}, "lost or damaged"},
		"nothing can be given back": {func(_ *testing.T, nft, legacy *tabled, _ *Options, _ *Result) {
			nft.unlike, legacy.unlike = "it has an owner", "it has an owner"
		}, "it has an owner"},
		"no way back": {func(_ *testing.T, nft, legacy *tabled, _ *Options, _ *Result) {
			nft.checks, legacy.checks = map[string]string{"nat": "the kernel refuses it"}, map[string]string{"nat": "the kernel refuses it"}
		}, "the kernel refuses it"},
		"it is not what was shown": {func(_ *testing.T, nft, _ *tabled, o *Options, _ *Result) {
			dry := *o
			dry.DryRun = true
			r, _ := Rollback(context.Background(), "", resolveHere, []change.Editor{nft}, dry)
			o.Shown = r.Shown
		}, "were shown"},
		"somebody writes all the time": {func(_ *testing.T, nft, _ *tabled, _ *Options, _ *Result) {
			nft.others = func() {
				nft.generation++
				nft.places["ip nat POSTROUTING"] = append(nft.places["ip nat POSTROUTING"], "n")
			}
		}, "somebody else changes the tables"},
	} {
		t.Run(name, func(t *testing.T) {
			nft, legacy, o, done := rewritten(t)
			c.spoil(t, nft, legacy, &o, done)
			r, err := Rollback(context.Background(), "", resolveHere, []change.Editor{nft, legacy}, o)
			wantResult(t, r, err, Refused, 7)
			if !strings.Contains(err.Error(), c.why) {
				t.Errorf("it says %v", err)
			}
			wantOthers(t, nft, legacy)
			if x := loadChange(t, o, done.Change); x.IsRolledBack() || x.Stage() != rollback.Ended || !x.WasVerified() {
				t.Errorf("the change is %s", x.Stage())
			}
		})
	}
}

// A table of one part that cannot be restored keeps the others from nothing.
func TestATableThatCannotBeRestoredIsLeft(t *testing.T) {
	nft, legacy, o, done := rewritten(t)
	legacy.checks = map[string]string{"nat": "an ipset is gone"}
	r, err := Rollback(context.Background(), "", resolveHere, []change.Editor{nft, legacy}, o)
	wantResult(t, r, err, Done, 2)
	wantPlaces(t, nft.kernel, nat, "a", "b", "c", "d")
	if len(r.Left) != 1 || !strings.Contains(r.Left[0].Why, "legacy table ip nat: an ipset is gone") || loadChange(t, o, done.Change).IsRolledBack() {
		t.Errorf("%+v", r)
	}
}

// Others write, but not in these tables: it goes through.
func TestFullComesThroughBesideOthers(t *testing.T) {
	nft, legacy, o, _ := rewritten(t)
	n := 0
	nft.others = func() {
		if n++; n < 6 {
			nft.generation++
		}
	}
	r, err := Rollback(context.Background(), "", resolveHere, []change.Editor{nft, legacy}, o)
	wantResult(t, r, err, Done, 0)
	wantSnapshot(t, nft, legacy)
}

// They wrote in these tables once: it compares anew, and takes that away too.
func TestFullComparesAnew(t *testing.T) {
	nft, legacy, o, _ := rewritten(t)
	n := 0
	nft.others = func() {
		if n++; n == 1 {
			nft.generation++
			nft.places[nat] = []string{"z", "d", "y"}
		}
	}
	r, err := Rollback(context.Background(), "", resolveHere, []change.Editor{nft, legacy}, o)
	wantResult(t, r, err, Done, 0)
	wantSnapshot(t, nft, legacy)
	if !slices.ContainsFunc(r.Differences, func(d Difference) bool { return d.Text == "rule y" && d.Kind == change.Removed }) {
		t.Errorf("differences %+v", r.Differences)
	}
}

// A failure of the second transaction takes the first one back, and the change
// stands as before: confirmed later, or rolled back the ordinary way.
func TestAFullRollbackThatFailsIsUndone(t *testing.T) {
	for name, fails := range map[string]func(*tabled){
		"refused":          func(k *tabled) { k.onEdit = func(int, []change.Step) error { return errTest } },
		"failed when done": func(k *tabled) { k.afterEdit = func(n int) error { k.afterEdit = nil; return errTest } },
	} {
		t.Run(name, func(t *testing.T) {
			nft, legacy, o, done := rewritten(t)
			editors := []change.Editor{nft, legacy}
			fails(legacy)
			r, err := Rollback(context.Background(), "", resolveHere, editors, o)
			wantResult(t, r, err, RolledBack, 4)
			wantOthers(t, nft, legacy)
			if x := loadChange(t, o, done.Change); x.Stage() != rollback.Ended || x.IsRolledBack() {
				t.Errorf("the change is %s", x.Stage())
			}
			legacy.onEdit = nil
			r, err = Rollback(context.Background(), "", resolveHere, editors, o)
			wantResult(t, r, err, Done, 0)
			wantSnapshot(t, nft, legacy)
			if r.Restores != done.Change {
				t.Errorf("it took back %s", r.Restores)
			}
		})
	}
}

func TestAChangeThatWaitsGoesOnWaiting(t *testing.T) {
	n, l, rows := web()
	nft, legacy, o := &tabled{kernel: n}, &tabled{kernel: l}, options(t)
	o.ConfirmWithin, o.Watchdog = time.Hour, func(string, string) error { return nil }
	editors := []change.Editor{nft, legacy}
	waits, err := Run(context.Background(), rows, nil, here(), editors, o)
	wantResult(t, waits, err, Pending, 0)
	o.Full = true
	nft.onEdit = func(int, []change.Step) error { return errTest }
	r, err := Rollback(context.Background(), "", resolveHere, editors, o)
	if err == nil || r.ExitCode != 4 && r.ExitCode != 1 {
		t.Errorf("%+v %v", r, err)
	}
	if x := loadChange(t, o, waits.Change); x.Stage() != rollback.Waiting {
		t.Errorf("the change is %s", x.Stage())
	}
	nft.onEdit = nil
	r, err = Rollback(context.Background(), waits.Change, resolveHere, editors, o)
	wantResult(t, r, err, Done, 0)
	wantPlaces(t, n, nat, "a", "b", "c", "d")
	if x := loadChange(t, o, waits.Change); !x.IsRolledBack() {
		t.Errorf("the change is %s", x.Stage())
	}
}

// Whatever kills it, recover leaves tables that are whole: those of before, those
// of the snapshot, or those of the ordinary rollback.
func TestACrashOfAFullRollback(t *testing.T) {
	seen := map[string]int{}
	for at := 1; ; at++ {
		nft, legacy, o, done := rewritten(t)
		nft.places[nat], legacy.places[legacyNat] = []string{"a", "d", "z"}, []string{"v"} // all has its place
		calls := 0
		tick := func() {
			if calls++; calls == at {
				panic(crash{})
			}
		}
		nft.tick, legacy.tick = tick, tick
		editors := []change.Editor{nft, legacy}
		crashed := until(func() { _, _ = Rollback(context.Background(), "", resolveHere, editors, o) })
		nft.tick, legacy.tick = nil, nil
		r, err := Recover(context.Background(), resolveHere, editors, o)
		if err != nil || r.ExitCode != 0 {
			t.Fatalf("crash at %d: recover: %+v, %v", at, r, err)
		}
		stands := strings.Join(nft.places[nat], "") + " " + strings.Join(legacy.places[legacyNat], "")
		seen[stands]++
		undone := loadChange(t, o, done.Change).IsRolledBack()
		switch stands {
		case "adz v":
			if undone {
				t.Errorf("crash at %d: the change is called rolled back", at)
			}
		case "abcd vw", "abcdz vw":
			if !undone {
				t.Errorf("crash at %d: the change is not called rolled back", at)
			}
		default:
			t.Errorf("crash at %d: the tables are %s", at, stands)
		}
		if !crashed {
			break
		}
	}
	if len(seen) != 3 {
		t.Errorf("the host stood as %v", seen)
	}
}
