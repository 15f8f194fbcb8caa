package edit

import (
	"context"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/natwarden/natwarden/internal/change"
	"github.com/natwarden/natwarden/internal/lab/labtest"
)

// Every rule of other projects' rule sets is taken out and put back.
func TestRealRulesetsComeBackByteForByte(t *testing.T) {
	shared := labtest.Shared(t)
	tried := 0
	for _, pattern := range []string{"corpora/*/*/*.v4.save", "corpora/*/*/*.v6.save", "captures/xt-matrix/*tables-save"} {
		files, _ := filepath.Glob(filepath.Join(shared, pattern))
		for _, file := range files {
			if roundTrip(t, file) {
				tried++
			}
		}
	}
	if tried == 0 {
		t.Error("none of the shared rule sets could be loaded")
	}
	t.Logf("%d rule sets", tried)
}

// roundTrip loads a file into a namespace of its own, deletes every rule and
// puts all back. It is false where iptables itself cannot load the file.
func roundTrip(t *testing.T, file string) bool {
	t.Helper()
	program := "iptables-legacy"
	if strings.Contains(file, "v6") || strings.Contains(file, "ip6tables") {
		program = "ip6tables-legacy"
	}
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	s := labtest.New(t, program)
	defer s.Close()
	if _, err := s.Run(context.Background(), string(text), program+"-restore"); err != nil {
		return false
	}
	before := dump(t, s)
	refs := refsOf(t, before, func(_, _ string, _ int) bool { return true })
	if len(refs) == 0 {
		return false
	}
	doing(t, s, func(ctx context.Context, e change.Editor) error { return thereAndBack(ctx, t, e, refs) })
	_, want := bare(t, before)
	if _, got := bare(t, dump(t, s)); !maps.Equal(got, want) {
		t.Errorf("%s is not what it was", file)
	}
	return true
}
