package lab_test

import (
	"strings"
	"testing"

	"github.com/natwarden/natwarden/internal/lab/labtest"
)

func TestASpaceIsItsOwn(t *testing.T) {
	s := labtest.New(t, "nft", "ip")
	s.MustRun(t, "table ip lab { chain c { type nat hook prerouting priority -100; }; }", "nft", "-f", "-")
	if got := s.MustRun(t, "", "nft", "list", "tables"); got != "table ip lab\n" {
		t.Errorf("in the space: %q", got)
	}
	if got := s.MustRun(t, "", "ip", "-br", "link"); !strings.HasPrefix(got, "lo") || strings.Count(got, "\n") != 1 {
		t.Errorf("a new space has links besides lo:\n%s", got)
	}
	other := labtest.New(t, "nft")
	if got := other.MustRun(t, "", "nft", "list", "tables"); got != "" {
		t.Errorf("another space sees %q", got)
	}
}
