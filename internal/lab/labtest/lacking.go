package labtest

import (
	"os"
	"testing"
)

// Lacking skips a test because the kernel has not what it is about. In the
// virtual machine of internal/lab/qemu that is a failure: it is there for what this kernel lacks.
func Lacking(t testing.TB, why string) {
	t.Helper()
	if os.Getenv("NATWARDEN_GUEST") == "1" {
		t.Fatal(why)
	}
	t.Skip(why)
}
