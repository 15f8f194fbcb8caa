package labtest

import (
	"os"
	"path/filepath"
	"testing"
)

// Shared gives the path of a file or folder of the shared collection of rule sets,
// which is no part of the project: NATWARDEN_SHARED names its folder, or it stands
// as ../shared beside the checkout. Without it the test is skipped. Where
// it is there and has no such file that is a failure: a renamed file would leave a
// test out for good.
func Shared(t testing.TB, path ...string) string {
	t.Helper()
	folder := os.Getenv("NATWARDEN_SHARED")
	if folder == "" {
		folder = filepath.Join(checkout(t), "..", "shared")
	}
	if _, err := os.Stat(folder); err != nil {
		t.Skipf("needs the shared rule sets: %v", err)
	}
	found := filepath.Join(append([]string{folder}, path...)...)
	if _, err := os.Stat(found); err != nil {
		t.Fatal(err)
	}
	return found
}

// checkout is the folder above this test's that holds the project's go.mod.
func checkout(t testing.TB) string {
	t.Helper()
	at, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	for ; at != filepath.Dir(at); at = filepath.Dir(at) {
		if _, err := os.Stat(filepath.Join(at, "go.mod")); err == nil {
			return at
		}
	}
	t.Fatal("no go.mod above this folder")
	return ""
}
