package remediate

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/natwarden/natwarden/internal/change"
)

// spoil changes every file below a folder of the state directory.
func spoil(t *testing.T, dir string, how func(path string, data []byte) error) {
	t.Helper()
	n := 0
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		data, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		n++
		return errors.Join(os.Chmod(path, 0o600), how(path, data))
	})
	if err != nil || n == 0 {
		t.Fatal(n, err)
	}
}

func truncated(path string, data []byte) error { return os.Truncate(path, int64(len(data)/2)) }

func flipped(path string, data []byte) error {
	if len(data) > 0 {
		data[len(data)/2] ^= 1
	}
	return os.WriteFile(path, data, 0o600)
}

func emptied(path string, _ []byte) error { return os.Truncate(path, 0) }

func remove(t *testing.T, path string) {
	t.Helper()
	if err := os.RemoveAll(path); err != nil {
		t.Fatal(err)
	}
}

// The journal alone puts everything back, whatever became of the snapshots.
func TestRollbackWithoutASnapshot(t *testing.T) {
	for name, damage := range map[string]func(t *testing.T, o Options){
		"folder gone": func(t *testing.T, o Options) { remove(t, o.StateDir+"/snapshots") },
		"truncated":   func(t *testing.T, o Options) { spoil(t, o.StateDir+"/snapshots", truncated) },
		"a bit":       func(t *testing.T, o Options) { spoil(t, o.StateDir+"/snapshots", flipped) },
		"emptied":     func(t *testing.T, o Options) { spoil(t, o.StateDir+"/snapshots", emptied) },
		"last plan":   func(t *testing.T, o Options) { remove(t, o.StateDir+"/last-plan.json") },
		"last plan damaged": func(t *testing.T, o Options) {
			if err := os.WriteFile(o.StateDir+"/last-plan.json", []byte("{"), 0o600); err != nil {
				t.Fatal(err)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			nft, legacy, o, _ := removed(t)
			damage(t, o)
			r, err := Rollback(context.Background(), "", resolveHere, []change.Editor{nft, legacy}, o)
			wantResult(t, r, err, Done, 0)
			wantPlaces(t, nft, nat, "a", "b", "c", "d")
			wantPlaces(t, legacy, legacyNat, "v", "w")
		})
	}
}

// Without the journal it says so, tells what was taken away, and changes
// nothing; least of all does it take back the change before.
func TestRollbackWithoutAJournal(t *testing.T) {
	for name, tc := range map[string]struct {
		damage func(t *testing.T, dir, change string)
		want   []string
	}{
		"folder gone":    {func(t *testing.T, dir, _ string) { remove(t, dir+"/changes") }, []string{"journal is gone", "its snapshot is whole: natwarden snapshot show"}},
		"change gone":    {func(t *testing.T, dir, id string) { remove(t, dir+"/changes/"+id) }, []string{"journal is gone"}},
		"plan gone":      {func(t *testing.T, dir, id string) { remove(t, dir+"/changes/"+id+"/plan.json") }, []string{"plan.json"}},
		"plan truncated": {func(t *testing.T, dir, id string) { spoil(t, dir+"/changes/"+id, truncated) }, nil},
		"plan a bit":     {func(t *testing.T, dir, id string) { spoil(t, dir+"/changes/"+id, flipped) }, nil},
		"journal empty":  {func(t *testing.T, dir, id string) { spoil(t, dir+"/changes/"+id, emptied) }, nil},
		"both gone": {func(t *testing.T, dir, _ string) { remove(t, dir+"/changes"); remove(t, dir+"/snapshots") },
			[]string{"journal is gone", "is gone or damaged too"}},
		"both damaged": {func(t *testing.T, dir, _ string) {
			spoil(t, dir+"/changes", flipped)
			spoil(t, dir+"/snapshots", flipped)
		}, []string{"is gone or damaged too"}},
	} {
		t.Run(name, func(t *testing.T) {
			nft, legacy, rows := web()
			o, editors := options(t), []change.Editor{nft, legacy}
			first, err := Run(context.Background(), rows[2:], nil, here(), editors, o)
			wantResult(t, first, err, Done, 0)
			done, err := Run(context.Background(), rows[:2], nil, here(), editors, o)
			wantResult(t, done, err, Done, 0)
			tc.damage(t, o.StateDir, done.Change)
			for _, id := range []string{"", done.Change, done.Change[:len(done.Change)-2]} {
				for _, dry := range []bool{true, false} {
					o.DryRun = dry
					r, err := Rollback(context.Background(), id, resolveHere, editors, o)
					wantResult(t, r, err, Failed, 1)
					wantPlaces(t, nft, nat, "a", "d")
					wantPlaces(t, legacy, legacyNat, "v")
					for _, want := range append([]string{done.Change, "\n  delete ip nat PREROUTING handle 102, place 2: rule b\n"}, tc.want...) {
						if !strings.Contains(err.Error(), want) {
							t.Errorf("id %q: %v\ndoes not say %q", id, err, want)
						}
					}
				}
			}
		})
	}
}

func TestWhatTheLastPlanDoesNotKnow(t *testing.T) {
	nft, legacy, o, done := removed(t)
	remove(t, o.StateDir+"/last-plan.json")
	spoil(t, o.StateDir+"/changes/"+done.Change, flipped)
	r, err := Rollback(context.Background(), "", resolveHere, []change.Editor{nft, legacy}, o)
	wantResult(t, r, err, Failed, 1)
	if !strings.Contains(err.Error(), "nothing else tells") {
		t.Error(err)
	}
	if !slices.Equal(nft.places[nat], []string{"a", "d"}) {
		t.Error(nft.places)
	}
}

// Where what is taken away cannot be written down, nothing is.
func TestWithoutTheLastPlanNothingIsChanged(t *testing.T) {
	nft, legacy, rows := web()
	o := options(t)
	if err := os.MkdirAll(o.StateDir+"/last-plan.json", 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(o.StateDir, 0o700); err != nil {
		t.Fatal(err)
	}
	editors := []change.Editor{nft, legacy}
	r, err := Run(context.Background(), rows, nil, here(), editors, o)
	wantResult(t, r, err, Failed, 1)
	wantPlaces(t, nft, nat, "a", "b", "c", "d")
	r, err = Recover(context.Background(), resolveHere, editors, o)
	wantResult(t, r, err, Nothing, 0)
}
