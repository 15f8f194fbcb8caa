package qemu

import (
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

// inGuest keeps a test for the machine.
func inGuest(t *testing.T) {
	t.Helper()
	if os.Getenv(guestVariable) != "1" {
		t.Skip("it runs in the guest of TestOnDebiansKernels")
	}
}

// loadedModules are the names in /proc/modules.
func loadedModules(t *testing.T) []string {
	t.Helper()
	text, err := os.ReadFile("/proc/modules")
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for line := range strings.Lines(string(text)) {
		out = append(out, strings.Fields(line)[0])
	}
	slices.Sort(out)
	return out
}

// An audit looks at everything and loads no module for it: not ip_vs, not
// ip_tables, not a socket family.
func TestPristineAuditLoadsNothing(t *testing.T) {
	inGuest(t)
	before := loadedModules(t)
	if len(before) > 5 {
		t.Errorf("the machine begins with %d modules: %v", len(before), before)
	}
	out, err := exec.Command("/usr/bin/natwarden", "audit", "-o", "json").CombinedOutput()
	if code := exitCode(err); code != 0 {
		t.Errorf("an empty machine is not compliant: exit %d\n%s", code, out)
	}
	if after := loadedModules(t); !slices.Equal(after, before) {
		t.Errorf("modules before the audit: %v\nafter: %v", before, after)
	}
}

func exitCode(err error) int {
	if err == nil {
		return 0
	}
	if exit, ok := err.(*exec.ExitError); ok {
		return exit.ExitCode()
	}
	return -1
}
