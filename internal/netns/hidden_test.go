package netns_test

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/natwarden/natwarden/internal/host"
	"github.com/natwarden/natwarden/internal/lab/labtest"
	"github.com/natwarden/natwarden/internal/netns"
)

// The list of the test itself leaves its own descriptors and threads out, by
// which the lab holds its namespaces; so those of these tests are found by what
// the test makes alone.

// found gives the label of the space's namespace in a list of all, "none" where it is not there.
func found(t *testing.T, s labtest.Space) string {
	t.Helper()
	spaces, _ := list(t, "all")
	for label, f := range spaces {
		if f.ID == spaceID(t, s) {
			if !entered(t, f) {
				t.Error("work did not run in the namespace")
			}
			return label
		}
	}
	return "none"
}

func TestANamespaceOfNobodyIsNotFound(t *testing.T) {
	if got := foundAtLast(t, labtest.New(t)); got != "none" {
		t.Errorf("found as %q, so the tests below prove nothing", got)
	}
}

// foundAtLast is found, again while another process holds a descriptor:
// whoever else lists namespaces on this machine has each open for a moment.
func foundAtLast(t *testing.T, s labtest.Space) (label string) {
	t.Helper()
	for range 50 {
		if label = found(t, s); !strings.HasPrefix(label, "fd:") {
			break
		}
		time.Sleep(100 * time.Millisecond)
	}
	return label
}

// mountHere bind-mounts the namespace at a path of the thread's mount namespace.
func mountHere(s labtest.Space, path string) error {
	if err := os.WriteFile(path, nil, 0o444); err != nil {
		return err
	}
	return unix.Mount(fmt.Sprintf("/proc/self/fd/%d", s.Handle().Fd()), path, "", unix.MS_BIND, "")
}

func TestNamespacesThatAMountKeepsAlive(t *testing.T) {
	s := labtest.New(t)
	path := filepath.Join(t.TempDir(), `a cache\db`)
	asNamed(t, s, func(string) {}) // needs mounts: skips nothing, fails where they cannot be made
	onOwnMounts(t, func() error {
		if err := mountHere(s, path); err != nil {
			return err
		}
		if got := found(t, s); got != path {
			t.Errorf("found as %q, want %q", got, path)
		}
		if err := unix.Mount("lab", path, "", unix.MS_BIND, ""); err == nil {
			t.Error("the path is no mount point")
		}
		return nil
	})
	if got := foundAtLast(t, s); got != "none" {
		t.Errorf("the mount is gone, and the namespace is found as %q", got)
	}
}

// onOwnMounts runs work on a thread with a mount namespace of its own.
func onOwnMounts(t *testing.T, work func() error) {
	t.Helper()
	done := make(chan error, 1)
	go func() {
		runtime.LockOSThread() // the thread ends with its mounts
		if err := unix.Unshare(unix.CLONE_NEWNS | unix.CLONE_FS); err != nil {
			done <- err
			return
		}
		if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
			done <- err
			return
		}
		done <- work()
	}()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
}

// A mount in another mount namespace, that of a process that is in no network
// namespace of interest itself.
func TestNamespacesThatAMountOfAProcessKeepsAlive(t *testing.T) {
	s := labtest.New(t, "cat")
	path := filepath.Join(t.TempDir(), "mounted")
	var pid int
	onOwnMounts(t, func() error {
		if err := mountHere(s, path); err != nil {
			return err
		}
		var err error
		pid, err = startCat(t)
		return err
	})
	want := fmt.Sprintf("/proc/%d/root%s", pid, path)
	if got := found(t, s); got != want {
		t.Errorf("found as %q, want %q", got, want)
	}
	if h, err := netns.OpenLabel(want); err != nil {
		t.Errorf("the label leads nowhere: %v", err)
	} else {
		h.Close()
	}
}

// A FIFO in the place of the namespace file would block who opens it.
func TestWhatCoversAMountIsNotOpened(t *testing.T) {
	s := labtest.New(t, "cat")
	dir := t.TempDir()
	onOwnMounts(t, func() error {
		if err := mountHere(s, filepath.Join(dir, "ns")); err != nil {
			return err
		}
		if err := unix.Mkfifo(filepath.Join(dir, "fifo"), 0o600); err != nil {
			return err
		}
		if err := unix.Mount(filepath.Join(dir, "fifo"), filepath.Join(dir, "ns"), "", unix.MS_BIND, ""); err != nil {
			return err
		}
		_, blind := list(t, "all")
		for _, b := range blind {
			if strings.Contains(b.What, filepath.Join(dir, "ns")) {
				return nil
			}
		}
		t.Errorf("a namespace that cannot be opened is not blind: %v", blind)
		return nil
	})
}

func TestNamespacesThatADescriptorKeepsAlive(t *testing.T) {
	s := labtest.New(t, "cat")
	pid, err := startCat(t, fileOf(t, s))
	if err != nil {
		t.Fatal(err)
	}
	want := fmt.Sprintf("fd:%d/3", pid)
	if got := found(t, s); got != want {
		t.Errorf("found as %q, want %q", got, want)
	}
	if spaces, blind := list(t, want); spaces[want].ID != spaceID(t, s) || len(blind) != 0 {
		t.Errorf("--netns %s: %v, blind %v", want, spaces, blind)
	}
}

// A descriptor that was opened by a mount that is gone is called "/".
func TestADescriptorWhoseMountIsGone(t *testing.T) {
	s := labtest.New(t, "cat")
	path := filepath.Join(t.TempDir(), "gone")
	var pid int
	onOwnMounts(t, func() error {
		if err := mountHere(s, path); err != nil {
			return err
		}
		f, err := os.Open(path)
		if err != nil {
			return err
		}
		defer f.Close()
		if err := unix.Unmount(path, unix.MNT_DETACH); err != nil {
			return err
		}
		pid, err = startCat(t, f)
		return err
	})
	if got, want := found(t, s), fmt.Sprintf("fd:%d/3", pid); got != want {
		t.Errorf("found as %q, want %q", got, want)
	}
}

// The descriptor of a mount namespace that nobody lives in, in which the
// network namespace is mounted.
func TestAMountNamespaceThatADescriptorKeepsAlive(t *testing.T) {
	s := labtest.New(t, "cat")
	path := filepath.Join(t.TempDir(), "deep")
	var mounts *os.File
	onOwnMounts(t, func() (err error) {
		if err := mountHere(s, path); err != nil {
			return err
		}
		mounts, err = os.Open("/proc/thread-self/ns/mnt")
		return err
	})
	defer mounts.Close()
	pid, err := startCat(t, mounts)
	if err != nil {
		t.Fatal(err)
	}
	want := fmt.Sprintf("mnt:/proc/%d/fd/3:%s", pid, path)
	if got := found(t, s); got != want {
		t.Errorf("found as %q, want %q", got, want)
	}
}

func TestLabelsOfDescriptors(t *testing.T) {
	for _, bad := range []string{"fd:", "fd:1", "fd:1/", "fd:0/3", "fd:1/../2", "fd:-1/3", "fd:99999999999/1", "mnt:/x:/y"} {
		if _, err := netns.ParseScope([]string{bad}); err == nil {
			t.Errorf("%q is taken", bad)
		}
	}
}

func TestReach(t *testing.T) {
	up := func(kind string, other, in int) host.Iface {
		return host.Iface{Name: "x", Index: 9, Up: true, Kind: kind, Other: other, OtherNetns: in}
	}
	lo := host.Iface{Name: "lo", Index: 1, Up: true, Loopback: true, OtherNetns: -1}
	down := up("veth", 5, 0)
	down.Up = false
	for name, c := range map[string]struct {
		list []host.Iface
		open bool
	}{
		"not read":                      {nil, true},
		"nothing":                       {[]host.Iface{}, false},
		"the loopback":                  {[]host.Iface{lo}, false},
		"hardware":                      {[]host.Iface{lo, up("", 0, -1)}, true},
		"a tunnel":                      {[]host.Iface{lo, up("tun", 0, -1)}, true},
		"what nobody knows":             {[]host.Iface{lo, up("warp", 0, -1)}, true},
		"a cable that is down":          {[]host.Iface{lo, down}, false},
		"a dummy":                       {[]host.Iface{lo, up("dummy", 0, -1)}, false},
		"a bridge":                      {[]host.Iface{lo, up("bridge", 0, -1)}, false},
		"a cable inside":                {[]host.Iface{lo, up("veth", 1, -1)}, false},
		"a cable to what is not there":  {[]host.Iface{lo, up("veth", 77, -1)}, true},
		"a cable whose end is unknown":  {[]host.Iface{lo, up("veth", 0, -1)}, true},
		"a vlan on something inside":    {[]host.Iface{lo, up("vlan", 1, -1)}, false},
		"hardware below a cable inside": {[]host.Iface{lo, up("vlan", 9, -1), up("", 0, -1)}, true},
	} {
		why := netns.Reach(context.Background(), []netns.Space{{Label: "x"}}, [][]host.Iface{c.list})[0]
		if (why == "") != c.open {
			t.Errorf("%s: %q", name, why)
		}
	}
	if why := netns.Reach(context.Background(), []netns.Space{{Label: ""}}, [][]host.Iface{{lo}})[0]; why != "" {
		t.Errorf("where natwarden was started: %q", why)
	}
}

// home is shared by cable with near, near with far; alone has both its ends,
// cut one end that is down, stand a macvlan on near's cable; lost a cable to
// where nobody looked.
func TestReachOverCables(t *testing.T) {
	names := []string{"home", "near", "far", "alone", "cut", "stand", "lost"}
	labs := map[string]labtest.Space{}
	var spaces []netns.Space
	for _, name := range append(names, "elsewhere") {
		labs[name] = labtest.New(t, "ip")
		if name != "elsewhere" {
			label := name
			if name == "home" {
				label = ""
			}
			spaces = append(spaces, netns.Space{Label: label, Handle: labs[name].Handle(), ID: spaceID(t, labs[name])})
		}
	}
	cable(t, labs["home"], labs["near"], "n")
	cable(t, labs["near"], labs["far"], "f")
	cable(t, labs["alone"], labs["alone"], "a")
	cable(t, labs["home"], labs["cut"], "c")
	labs["home"].MustRun(t, "", "ip", "link", "set", "c0", "down")
	cable(t, labs["elsewhere"], labs["lost"], "l")
	labs["near"].MustRun(t, "", "ip", "link", "add", "m0", "link", "f0", "netns", fmt.Sprintf("/proc/%d/fd/%d", os.Getpid(), labs["stand"].Handle().Fd()), "type", "macvlan")
	labs["stand"].MustRun(t, "", "ip", "link", "set", "m0", "up")
	ifaces := make([][]host.Iface, len(spaces))
	for i, s := range spaces {
		labs[names[i]].MustDo(t, func(ctx context.Context) (err error) {
			ifaces[i], _, err = netns.Ifaces(ctx)
			return err
		})
		_ = s
	}
	want := map[string]bool{"home": true, "near": true, "far": true, "stand": true, "lost": true}
	for i, why := range netns.Reach(context.Background(), spaces, ifaces) {
		if (why == "") != want[names[i]] {
			t.Errorf("%s: %q", names[i], why)
		}
	}
}

// cable joins two spaces by a pair of interfaces NAME0 and NAME1 that are up.
func cable(t *testing.T, a, b labtest.Space, name string) {
	t.Helper()
	peer := fmt.Sprintf("/proc/%d/fd/%d", os.Getpid(), b.Handle().Fd())
	a.MustRun(t, "", "ip", "link", "add", name+"0", "type", "veth", "peer", "name", name+"1", "netns", peer)
	a.MustRun(t, "", "ip", "link", "set", name+"0", "up")
	b.MustRun(t, "", "ip", "link", "set", name+"1", "up")
}

// startCat starts a process that waits until the test ends, with open files
// from descriptor 3 on, on the thread that calls.
func startCat(t *testing.T, files ...*os.File) (int, error) {
	t.Helper()
	cmd := exec.Command("cat")
	cmd.ExtraFiles = files
	in, err := cmd.StdinPipe()
	if err != nil {
		return 0, err
	}
	if err := cmd.Start(); err != nil {
		return 0, err
	}
	t.Cleanup(func() {
		in.Close()
		_ = cmd.Wait()
	})
	return cmd.Process.Pid, nil
}

// fileOf is the namespace as an open file.
func fileOf(t *testing.T, s labtest.Space) *os.File {
	t.Helper()
	fd, err := unix.FcntlInt(uintptr(s.Handle().Fd()), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	f := os.NewFile(uintptr(fd), "namespace")
	t.Cleanup(func() { f.Close() })
	return f
}
