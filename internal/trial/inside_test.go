//go:build amd64

package trial

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/natwarden/natwarden/internal/lab"
	"github.com/natwarden/natwarden/internal/lab/fault"
	"github.com/natwarden/natwarden/internal/lab/labtest"
	"github.com/natwarden/natwarden/internal/netns"
)

// filterArgument makes the test binary put the filter before a program.
const filterArgument = "filter-and-run"

func TestMain(m *testing.M) {
	if len(os.Args) > 2 && os.Args[1] == filterArgument {
		fmt.Fprintln(os.Stderr, fault.Exec(os.Args[2:]))
		os.Exit(99)
	}
	if len(os.Args) > 2 && os.Args[1] == churnArgument {
		fmt.Fprintln(os.Stderr, churnMain(os.Args[2]))
		os.Exit(99)
	}
	os.Exit(m.Run())
}

// Names of the variables by which a test knows that it stands where it belongs.
const (
	envInside = "NATWARDEN_TRIAL"            // what is tried
	envSpace  = "NATWARDEN_TRIAL_NETNS"      // identity of the lab's namespace
	envHome   = "NATWARDEN_TRIAL_HOME_NETNS" // identity of the machine's; never to be touched
	envMounts = "NATWARDEN_TRIAL_HOME_MNT"
	envBinary = "NATWARDEN_TRIAL_BINARY" // natwarden
	envShard  = "NATWARDEN_TRIAL_SHARD"
)

// binary builds natwarden.
func binary(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "natwarden")
	out, err := exec.CommandContext(t.Context(), "go", "build", "-o", path, "../../cmd/natwarden").CombinedOutput()
	if err != nil {
		t.Fatalf("building natwarden: %v\n%s", err, out)
	}
	return path
}

// inShards runs a test inside several namespaces side by side and adds up the
// lines FIGURE NAME NUMBER that it prints, those of a longest time apart. Lines
// that begin with WHY are shown.
func inShards(t *testing.T, test string, shards int) map[string]int {
	t.Helper()
	return inShardsOf(t, test, binary(t), shards)
}

// inShardsOf is inShards with a natwarden that was built before, and more of an
// environment.
func inShardsOf(t *testing.T, test, natwarden string, shards int, environment ...string) map[string]int {
	t.Helper()
	labtest.New(t, "unshare", "iptables-legacy", "ip6tables-legacy", "nft", "ip", "conntrack", "sysctl", "tc", "ipset", "socat")
	outputs, failures := make([]string, shards), make([]error, shards)
	var all sync.WaitGroup
	for shard := range shards {
		all.Go(func() {
			outputs[shard], failures[shard] = runInside(t, test, natwarden, 4*time.Hour, append(slices.Clip(environment), fmt.Sprintf("%s=%d", envShard, shard))...)
		})
	}
	all.Wait()
	for _, err := range failures {
		if err != nil {
			t.Error(err)
		}
	}
	sum := map[string]int{}
	for line := range strings.Lines(strings.Join(outputs, "")) {
		var what string
		var n int
		if _, err := fmt.Sscanf(line, "FIGURE %s %d", &what, &n); err == nil {
			sum[what] += n
			if strings.HasPrefix(what, "longest-") {
				sum[what] = max(sum[what]-n, n)
			}
		}
	}
	t.Log(sum)
	for _, out := range outputs {
		for line := range strings.Lines(out) {
			if strings.HasPrefix(line, "WHY ") {
				t.Log(strings.TrimSpace(line))
			}
		}
	}
	return sum
}

// runInside runs a test of this binary in network, PID and mount namespaces of
// its own and gives what it printed; that it failed is an error.
func runInside(t *testing.T, test, natwarden string, patience time.Duration, environment ...string) (string, error) {
	space, err := lab.New()
	if err != nil {
		return "", err
	}
	defer space.Close()
	home, err := netns.Current()
	if err != nil {
		return "", err
	}
	defer home.Close()
	here, err := identity(home)
	if err != nil {
		return "", err
	}
	there, err := identity(space.Handle())
	if err != nil {
		return "", err
	}
	mounts, err := os.Readlink("/proc/self/ns/mnt")
	if err != nil {
		return "", err
	}
	ctx, stop := context.WithTimeout(t.Context(), patience)
	defer stop()
	var out []byte
	err = space.Do(ctx, func(ctx context.Context) error {
		cmd := exec.CommandContext(ctx, "unshare", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc",
			os.Args[0], "-test.run=^"+test+"$", "-test.v", fmt.Sprintf("-test.timeout=%s", patience))
		cmd.Env = append(os.Environ(), envInside+"="+test, envBinary+"="+natwarden, envMounts+"="+mounts,
			envSpace+"="+there, envHome+"="+here)
		cmd.Env = append(cmd.Env, environment...)
		var err error
		out, err = cmd.CombinedOutput()
		return err
	})
	if err != nil || !strings.Contains(string(out), "--- PASS: "+test) {
		return string(out), fmt.Errorf("%s inside: %v\n%s", test, err, out)
	}
	return string(out), nil
}

func identity(h netns.Handle) (string, error) {
	id, err := h.ID()
	return fmt.Sprintf("%d:%d", id.Dev, id.Ino), err
}

// inside goes on only where runInside started this test, after positive proof
// that this process stands in the lab's namespaces and not in the machine's.
// It gives a folder of its own, on a file system in memory.
func inside(t *testing.T) (folder string) {
	t.Helper()
	if os.Getenv(envInside) != t.Name() {
		t.Skip("runs only when another test starts it in namespaces of its own")
	}
	here, err := netns.Open("/proc/self/ns/net")
	if err != nil {
		t.Fatal(err)
	}
	defer here.Close()
	if id, err := identity(here); err != nil || id != os.Getenv(envSpace) || id == os.Getenv(envHome) {
		t.Fatalf("refusing to work: this is network namespace %s (%v)", id, err)
	}
	mounts, err := os.Readlink("/proc/self/ns/mnt")
	if err != nil || mounts == os.Getenv(envMounts) {
		t.Fatalf("refusing to work: these are the machine's mounts (%v)", err)
	}
	// The lock of iptables-legacy is there; a private one makes runs independent.
	for _, folder := range []string{"/run", "/var/lib"} {
		if err := unix.Mount("natwarden-trial", folder, "tmpfs", 0, "mode=755"); err != nil {
			t.Fatal(err)
		}
	}
	return "/run"
}
