package rollback

import (
	"os"
	"path/filepath"
	"testing"
	"time"
)

func TestTried(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "state")
	s, err := Create(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	now := time.Date(2026, 11, 23, 5, 20, 0, 0, time.UTC)
	begin := func(intent string) string {
		id, err := s.NewChangeID(now)
		if err != nil {
			t.Fatal(err)
		}
		j, err := s.Begin(Plan{Change: id, Groups: []Group{{Backend: "nf_tables"}}}, now)
		if err != nil {
			t.Fatal(err)
		}
		defer j.Close()
		if intent != "-" {
			if err := j.Write(Entry{Time: now, Event: Intend, PlanFile: intent}); err != nil {
				t.Fatal(err)
			}
		}
		return id
	}
	begin("")
	one := begin("beef")
	begin("-") // begun, and nothing was intended
	two := begin("cafe")
	for plan, want := range map[string]string{"beef": one, "cafe": two, "f00d": ""} {
		if got, err := s.Tried(plan); err != nil || got != want {
			t.Errorf("%s: %q %v, want %q", plan, got, err, want)
		}
	}
	path := filepath.Join(dir, "changes", one, journalName)
	if err := os.WriteFile(path, []byte("{}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if got, err := s.Tried("f00d"); err == nil {
		t.Errorf("a journal that was altered says nothing: %q", got)
	}
}
