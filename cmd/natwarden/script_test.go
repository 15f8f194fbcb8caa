package main

import (
	"cmp"
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
	"golang.org/x/sys/unix"

	"github.com/natwarden/natwarden/internal/lab/labtest"
	"github.com/natwarden/natwarden/internal/netns"
)

func TestMain(m *testing.M) {
	if err := flag.Set("test.parallel", "6"); err != nil { // the tests mostly wait; -parallel still decides
		panic(err)
	}
	testscript.Main(m, map[string]func(){"natwarden": main})
}

// Names of the variables by which a script's process knows that it is where
// it belongs.
const (
	envScript = "NATWARDEN_TEST_SCRIPT"
	envSpace  = "NATWARDEN_TEST_NETNS"      // identity of the lab's namespace
	envHome   = "NATWARDEN_TEST_HOME_NETNS" // identity of the machine's; never to be touched
	envMounts = "NATWARDEN_TEST_HOME_MNT"
)

// withoutDelay spares each natwarden that is built for the race detector the
// second that it would sleep when it ends (what is being reported is waited for
// all the same): https://go.dev/doc/articles/race_detector#Options
const withoutDelay = "atexit_sleep_ms=0"

// TestScripts runs each script of testdata/script in network, PID and mount
// namespaces of its own: the test binary runs itself there.
func TestScripts(t *testing.T) {
	scripts, err := filepath.Glob("testdata/script/*.txtar")
	if err != nil || len(scripts) == 0 {
		t.Fatalf("no scripts: %v", err)
	}
	for _, script := range scripts {
		t.Run(strings.TrimSuffix(filepath.Base(script), ".txtar"), func(t *testing.T) {
			t.Parallel()
			labtest.Partners(t, partners(t, script)...)
			runInside(t, script)
		})
	}
}

// partners are the programs beyond testdata/PACKAGES that a script asks for in its
// first line, "# needs: …": .ci/run installs them.
func partners(t *testing.T, script string) []string {
	t.Helper()
	text, err := os.ReadFile(script)
	if err != nil {
		t.Fatal(err)
	}
	first, _, _ := strings.Cut(string(text), "\n")
	words, needs := strings.CutPrefix(first, "# needs:")
	if !needs {
		return nil
	}
	return strings.Fields(words)
}

func runInside(t *testing.T, script string) {
	space := labtest.New(t, "unshare", "iptables", "iptables-legacy", "nft", "ip", "setpriv", "script", "flock", "python3", "ssh-keygen")
	home, err := netns.Current()
	if err != nil {
		t.Fatal(err)
	}
	defer home.Close()
	mounts, err := os.Readlink("/proc/self/ns/mnt")
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithTimeout(context.Background(), 5*time.Minute)
	defer stop()
	var out []byte
	err = space.Do(ctx, func(ctx context.Context) error {
		cmd := exec.CommandContext(ctx, "unshare", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc",
			os.Args[0], "-test.run=^TestInside$", "-test.v", "-test.timeout=5m")
		cmd.Env = append(os.Environ(), envScript+"="+script, envSpace+"="+identity(t, space.Handle()),
			envHome+"="+identity(t, home), envMounts+"="+mounts)
		var err error
		out, err = cmd.CombinedOutput()
		return err
	})
	if err != nil || !strings.Contains(string(out), "--- PASS: TestInside") {
		t.Fatalf("%v\n%s", err, out)
	}
}

func identity(t *testing.T, h netns.Handle) string {
	t.Helper()
	id, err := h.ID()
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf("%d:%d", id.Dev, id.Ino)
}

// TestInside runs the script that it is told to, after positive proof that
// this process stands in the lab's namespace and not in the machine's.
func TestInside(t *testing.T) {
	script := os.Getenv(envScript)
	if script == "" {
		t.Skip("runs only when TestScripts starts it")
	}
	here, err := netns.Open("/proc/self/ns/net")
	if err != nil {
		t.Fatal(err)
	}
	defer here.Close()
	if id := identity(t, here); id != os.Getenv(envSpace) || id == os.Getenv(envHome) {
		t.Fatalf("refusing to run %s: this is network namespace %s", script, id)
	}
	mounts, err := os.Readlink("/proc/self/ns/mnt")
	if err != nil || mounts == os.Getenv(envMounts) {
		t.Fatalf("refusing to run %s: these are the machine's mounts (%v)", script, err)
	}
	cover(t)
	testscript.Run(t, testscript.Params{
		Files:               []string{script},
		Cmds:                commands(),
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		Setup: func(e *testscript.Env) error {
			e.Setenv("NATWARDEN_TEST", "1")
			e.Setenv("GORACE", cmp.Or(os.Getenv("GORACE"), withoutDelay))
			return nil
		},
	})
}

// cover hides what a script must not see or change of the machine: named
// namespaces, locks, the policy and the state.
func cover(t *testing.T) {
	t.Helper()
	for _, dir := range []string{"/run", "/etc", "/var/lib"} {
		if err := overlay(t, dir); err != nil {
			t.Fatal(err)
		}
	}
}

func overlay(t *testing.T, dir string) error {
	if dir == "/run" {
		return unix.Mount("natwarden-test", dir, "tmpfs", 0, "mode=755")
	}
	base := t.TempDir()
	if err := unix.Mount("natwarden-test", base, "tmpfs", 0, "mode=755"); err != nil {
		return err
	}
	t.Cleanup(func() { _ = unix.Unmount(base, unix.MNT_DETACH) })
	for _, sub := range []string{"upper", "work"} {
		if err := os.Mkdir(filepath.Join(base, sub), 0o755); err != nil {
			return err
		}
	}
	options := fmt.Sprintf("lowerdir=%s,upperdir=%s/upper,workdir=%s/work", dir, base, base)
	return unix.Mount("natwarden-test", dir, "overlay", 0, options)
}

// commands are the words that scripts have beside testscript's own.
func commands() map[string]func(ts *testscript.TestScript, neg bool, args []string) {
	return map[string]func(ts *testscript.TestScript, neg bool, args []string){
		"exits":    exits,
		"setid":    setID,
		"cmpsaved": compareSaved,
	}
}

// exits CODE PROGRAM ARGS... runs a program and asserts its exit code.
func exits(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: exits CODE PROGRAM ARGS...")
	}
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	err = ts.Exec(args[1], args[2:]...)
	got := 0
	var exit *exec.ExitError
	switch {
	case errors.As(err, &exit):
		got = exit.ExitCode()
	case err != nil:
		ts.Fatalf("%v", err)
	}
	if got != want {
		ts.Fatalf("exit code %d, want %d", got, want)
	}
}

// setid NAME KEY keeps the first value of a key of the JSON on standard
// output in a variable.
func setID(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: setid NAME KEY")
	}
	_, rest, found := strings.Cut(ts.ReadFile("stdout"), `"`+args[1]+`":"`)
	value, _, closed := strings.Cut(rest, `"`)
	if !found || !closed || value == "" {
		ts.Fatalf("no %s in the output", args[1])
	}
	ts.Setenv(args[0], value)
}

// cmpsaved A B compares two iptables-save texts without comments (which carry
// the time) and counters.
func compareSaved(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: cmpsaved A B")
	}
	if a, b := saved(ts.ReadFile(args[0])), saved(ts.ReadFile(args[1])); a != b {
		ts.Fatalf("%s:\n%s\n%s:\n%s", args[0], a, args[1], b)
	}
}

func saved(text string) string {
	var b strings.Builder
	for line := range strings.Lines(text) {
		if !strings.HasPrefix(line, "#") {
			b.WriteString(counters.ReplaceAllString(line, ""))
		}
	}
	return b.String()
}

var counters = regexp.MustCompile(` ?\[\d+:\d+\]`)
