// Package labtest gives tests throw-away network namespaces.
package labtest

import (
	"context"
	"os"
	"os/exec"
	"testing"
	"time"

	"github.com/natwarden/natwarden/internal/lab"
)

// Space is a lab.Space whose failures fail the test.
type Space struct{ *lab.Space }

// New makes a namespace that ends with the test. Without root, or where a
// program of needs is missing, the test is skipped and says so; with
// NATWARDEN_REQUIRE_LAB=1 (as .ci/run sets it) that is a failure instead.
func New(t testing.TB, needs ...string) Space {
	t.Helper()
	if os.Geteuid() != 0 {
		Unmet(t, "needs root to make network namespaces")
	}
	for _, program := range needs {
		if _, err := exec.LookPath(program); err != nil {
			Unmet(t, "needs the program "+program)
		}
	}
	s, err := lab.New()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return Space{s}
}

// Unmet skips a test whose demands the machine does not meet. Where the
// environment has NATWARDEN_REQUIRE_LAB=1 (test.sh sets it for root, who can meet
// them) that is a failure: nothing is left out unseen.
func Unmet(t testing.TB, why string) {
	t.Helper()
	if os.Getenv("NATWARDEN_REQUIRE_LAB") == "1" {
		t.Fatal(why)
	}
	t.Skip(why)
}

// Partners skips a test, loudly, where a program is missing that nobody wants
// installed by a test command (a docker, a squid): unlike New even where a lab is
// required. With NATWARDEN_REQUIRE_PARTNERS=1, as .ci/run sets it, which installs
// them all, that is a failure as well.
func Partners(t testing.TB, programs ...string) {
	t.Helper()
	for _, program := range programs {
		if _, err := exec.LookPath(program); err == nil {
			continue
		}
		if os.Getenv("NATWARDEN_REQUIRE_PARTNERS") == "1" {
			t.Fatalf("%s is not installed", program)
		}
		t.Skipf("%s is not held against natwarden: %s is not installed", t.Name(), program)
	}
}

// patience is for what hangs, not for what a busy machine makes slow.
const patience = 5 * time.Minute

// MustRun is Run with some minutes' time; the test fails where the program does.
func (s Space) MustRun(t testing.TB, input string, argv ...string) string {
	t.Helper()
	ctx, stop := context.WithTimeout(context.Background(), patience)
	defer stop()
	out, err := s.Run(ctx, input, argv...)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// MustDo is Do with some minutes' time; the test fails where work does.
func (s Space) MustDo(t testing.TB, work func(context.Context) error) {
	t.Helper()
	ctx, stop := context.WithTimeout(context.Background(), patience)
	defer stop()
	if err := s.Do(ctx, work); err != nil {
		t.Fatal(err)
	}
}
