package proc

import (
	"os"
	"os/exec"
	"strings"
	"testing"
)

const envCgroups = "NATWARDEN_TEST_CGROUPS"

// In a cgroup namespace that begins anywhere, any path can be made to look like
// one below system.slice: units are not believed there, unless process 1 is systemd.
func TestACgroupNamespaceOfAnybodysIsNotBelieved(t *testing.T) {
	if os.Getenv(envCgroups) != "" {
		if seesWholeCgroupTree() {
			t.Error("it is taken for the whole tree")
		}
		return
	}
	if os.Geteuid() != 0 {
		t.Skip("needs root to make a cgroup namespace")
	}
	for _, argv := range [][]string{{"--cgroup"}, {"--cgroup", "--mount", "--pid", "--fork", "--mount-proc"}} {
		cmd := exec.Command("unshare", append(argv, os.Args[0], "-test.run=^"+t.Name()+"$", "-test.v")...)
		cmd.Env = append(os.Environ(), envCgroups+"=1")
		if out, err := cmd.CombinedOutput(); err != nil || !strings.Contains(string(out), "--- PASS") {
			t.Errorf("unshare %v: %v: %s", argv, err, out)
		}
	}
}
