package labtest

import (
	"fmt"
	"testing"

	"golang.org/x/sys/unix"
)

// NeedsKernel skips a test below a kernel that does not have yet what the test
// is about. Unlike a missing program, nobody can install it.
func NeedsKernel(t testing.TB, major, minor int, what string) {
	t.Helper()
	var u unix.Utsname
	if err := unix.Uname(&u); err != nil {
		t.Fatal(err)
	}
	release := unix.ByteSliceToString(u.Release[:])
	var has, hasMinor int
	if _, err := fmt.Sscanf(release, "%d.%d", &has, &hasMinor); err != nil {
		t.Fatalf("reading the release %q: %v", release, err)
	}
	if has < major || has == major && hasMinor < minor {
		t.Skipf("Linux %s has no %s, which came with %d.%d", release, what, major, minor)
	}
}
