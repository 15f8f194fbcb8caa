package main

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/natwarden/natwarden/internal/lab"
	"github.com/natwarden/natwarden/internal/lab/labtest"
)

// treePackages is what the tree has beside a minimal Debian.
const treePackages = "systemd,systemd-sysv,dbus,libpam-systemd,procps,openssh-server,openssh-client,socat,iproute2,nftables"

// TestUnderSystemd runs natwarden on hosts where systemd is process 1: in
// systemd-nspawn over a debootstrap tree, in network namespaces of the lab.
func TestUnderSystemd(t *testing.T) {
	t.Parallel()
	if os.Geteuid() != 0 {
		t.Skip("natwarden is not held against systemd: it needs root to boot one")
	}
	labtest.Partners(t, "systemd-nspawn", "debootstrap", "unshare", "nsenter", "awk", "flock", "nft")
	tree, binary := make(chan string, 1), make(chan string, 1)
	go func() { tree <- systemdTree(t) }()
	go func() { binary <- buildStatic(t) }()
	from, natwarden := <-tree, <-binary
	if t.Failed() || from == "" {
		labtest.Unmet(t, "natwarden is not held against systemd: no tree could be made")
	}
	for name, test := range map[string]func(*testing.T, *machine){
		"units":   stopsUnits,
		"confirm": confirmsUnderSystemd,
		"killed":  rollsBackWhatIsKilled,
		"reboot":  rebootsBeforeConfirmation,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t, newMachine(t, from, natwarden))
		})
	}
}

// systemdTree gives the tree, made once for all runs; "" where it cannot be made.
func systemdTree(t *testing.T) string {
	script, err := os.ReadFile("testdata/systemd/tree.sh")
	if err != nil {
		t.Error(err)
		return ""
	}
	cache, err := os.UserCacheDir()
	if err != nil {
		cache = os.TempDir()
	}
	sum := sha256.Sum256(append(script, treePackages...))
	tree := filepath.Join(cache, "natwarden", fmt.Sprintf("bookworm-%x", sum[:6]))
	ctx, stop := context.WithTimeout(t.Context(), 4*time.Minute)
	defer stop()
	out, err := exec.CommandContext(ctx, "sh", "testdata/systemd/tree.sh", tree, treePackages).CombinedOutput()
	if err != nil {
		t.Logf("natwarden is not held against systemd: making a Debian tree: %v: %.2000s", err, out[max(0, len(out)-2000):])
		return ""
	}
	return tree
}

// buildStatic builds natwarden without libraries, so that it runs in the tree.
func buildStatic(t *testing.T) string {
	to := filepath.Join(t.TempDir(), "natwarden")
	cmd := exec.Command("go", "build", "-o", to, ".")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("building natwarden: %v: %s", err, out)
	}
	return to
}

// machine is a host with systemd as process 1: the middle of a triangle.
type machine struct {
	*lab.Triangle
	root    string // its file system
	backend *lab.Greeter
	name    string
	init    *exec.Cmd // systemd-nspawn
	pid     int       // its process 1, as this side counts
	said    *locked
	down    chan struct{}
}

var machines atomic.Int32

// newMachine copies the tree and boots it.
func newMachine(t *testing.T, tree, natwarden string) *machine {
	t.Helper()
	m := &machine{root: filepath.Join(t.TempDir(), "root"), name: fmt.Sprintf("natwarden-test-%d-%d", os.Getpid(), machines.Add(1))}
	for _, argv := range [][]string{{"cp", "-a", "--reflink=auto", tree, m.root}, {"cp", natwarden, m.root + "/usr/bin/natwarden"}} {
		if out, err := exec.Command(argv[0], argv[1:]...).CombinedOutput(); err != nil {
			t.Fatalf("%v: %v: %s", argv, err, out)
		}
	}
	t.Cleanup(func() { m.powerOff(t) })
	m.boot(t)
	return m
}

// boot starts the machine in a triangle of its own: as after a real boot,
// nothing of the kernel's rules is left.
func (m *machine) boot(t *testing.T) {
	t.Helper()
	triangle, err := lab.NewTriangle(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	m.Triangle, m.said, m.down = triangle, &locked{}, make(chan struct{})
	m.init = exec.Command("unshare", "--mount", "sh", "testdata/systemd/boot.sh", m.root, m.name)
	m.init.Stdout, m.init.Stderr = m.said, m.said
	m.init.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := m.Host.Do(t.Context(), func(context.Context) error { return m.init.Start() }); err != nil {
		t.Fatal(err)
	}
	go func() { _ = m.init.Wait(); close(m.down) }()
	for until := time.Now().Add(time.Minute); !m.isUp(); time.Sleep(50 * time.Millisecond) {
		if time.Now().After(until) || isClosed(m.down) {
			labtest.Unmet(t, fmt.Sprintf("natwarden is not held against systemd: it does not boot here: %s", m.said))
		}
	}
	m.check(t)
}

func isClosed(c chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}

// isUp says whether process 1 runs and has started what it starts at boot.
func (m *machine) isUp() bool {
	nspawn := m.init.Process.Pid
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%d/children", nspawn, nspawn))
	if err != nil {
		return false
	}
	for child := range strings.FieldsSeq(string(text)) {
		exe, err := os.Readlink("/proc/" + child + "/exe")
		if err != nil || filepath.Base(exe) != "systemd" {
			continue
		}
		if m.pid, err = strconv.Atoi(child); err == nil {
			state, _ := m.inside("systemctl", "is-system-running").Output()
			return strings.TrimSpace(string(state)) == "running"
		}
	}
	return false
}

// check holds that the machine is in the lab's namespace.
func (m *machine) check(t *testing.T) {
	t.Helper()
	id, err := os.Readlink(fmt.Sprintf("/proc/%d/ns/net", m.pid))
	own, err2 := m.Host.Handle().ID()
	if err := errors.Join(err, err2); err != nil || id != fmt.Sprintf("net:[%d]", own.Ino) {
		t.Fatalf("the machine is in %s, not in the lab's namespace %d: %v", id, own.Ino, err)
	}
}

// powerOff ends the machine, and all that it was made of but its files.
func (m *machine) powerOff(t *testing.T) {
	if m.init == nil || m.init.Process == nil {
		return
	}
	if m.pid != 0 {
		_ = m.inside("systemctl", "poweroff").Run() // it may be off already
	}
	select {
	case <-m.down:
	case <-time.After(20 * time.Second):
		t.Errorf("the machine does not power off: %s", m.said)
		_ = syscall.Kill(-m.init.Process.Pid, syscall.SIGKILL) // the session that the test made
		<-m.down
	}
	if out, err := exec.Command("sh", "testdata/systemd/end.sh", m.name).CombinedOutput(); err != nil {
		t.Errorf("taking the cgroups away: %v: %s", err, out)
	}
	_ = m.Close()
	m.init, m.pid = nil, 0
}

// inside is a command that runs in the machine, but in no unit of it.
func (m *machine) inside(argv ...string) *exec.Cmd {
	enter := []string{"-t", strconv.Itoa(m.pid), "-m", "-u", "-i", "-n", "-p", "-C", "-r", "-w"}
	cmd := exec.Command("nsenter", append(enter, argv...)...)
	cmd.Env = []string{"PATH=/usr/sbin:/usr/bin", "HOME=/root"}
	return cmd
}

// run runs a command as a unit of the machine and gives what it printed and its
// exit code.
func (m *machine) run(t *testing.T, argv ...string) (string, int) {
	t.Helper()
	cmd := m.inside(append([]string{"systemd-run", "--quiet", "--pipe", "--wait", "--collect"}, argv...)...)
	out, err := cmd.CombinedOutput()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatalf("%v: %v", argv, err)
	}
	return string(out), cmd.ProcessState.ExitCode()
}

// must is run for a command that has a known exit code.
func (m *machine) must(t *testing.T, code int, argv ...string) string {
	t.Helper()
	out, got := m.run(t, argv...)
	if got != code {
		t.Fatalf("%s: exit %d, want %d\n%s", strings.Join(argv, " "), got, code, out)
	}
	return out
}

// write makes a file in the machine.
func (m *machine) write(t *testing.T, name, text string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(m.root, name), []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

// answers asks a port of the machine from outside: what it is greeted with, or
// "" where nobody answers.
func (m *machine) answers(t *testing.T, port string) string {
	t.Helper()
	ctx, stop := context.WithTimeout(t.Context(), 5*time.Second)
	defer stop()
	greeting, err := m.Client.Ask(ctx, lab.HostAddr+":"+port)
	if err != nil && !errors.Is(err, lab.ErrRefused) {
		t.Fatalf("port %s: %v", port, err)
	}
	return greeting
}

// soon waits until something is so.
func soon(t *testing.T, what string, is func() bool) {
	t.Helper()
	for until := time.Now().Add(30 * time.Second); !is(); time.Sleep(50 * time.Millisecond) {
		if time.Now().After(until) {
			t.Fatal(what)
		}
	}
}
