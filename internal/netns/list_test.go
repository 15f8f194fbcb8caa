package netns_test

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/natwarden/natwarden/internal/host"
	"github.com/natwarden/natwarden/internal/lab/labtest"
	"github.com/natwarden/natwarden/internal/netns"
)

func TestScopes(t *testing.T) {
	for _, c := range []struct {
		values string // separated by spaces
		want   string // or the start of the error
	}{
		{"", "current"},
		{"current", "current"},
		{"all", "all"},
		{"current web", "current,web"},
		{"web", "web"},
		{"pid:17 /run/x", "pid:17,/run/x"},
		{"all web", "all"},
		{"pid:", `"pid:" names no process`},
		{"pid:0", `"pid:0" names no process`},
		{"pid:-1", `"pid:-1" names no process`},
		{"pid:99999999999", `"pid:99999999999" names no process`},
		{"../x", `"../x" is no network namespace`},
		{"..", `".." is no network namespace`},
		{"a\x00b", `"a\x00b" is no network namespace`},
	} {
		s, err := netns.ParseScope(strings.Fields(c.values))
		got := s.String()
		if err != nil {
			got = err.Error()
		}
		if got != c.want && (err == nil || !strings.HasPrefix(got, c.want)) {
			t.Errorf("%q: %s, want %s", c.values, got, c.want)
		}
	}
}

// list gives labels, to their spaces, and closes those with the test.
func list(t *testing.T, values ...string) (map[string]netns.Space, []host.Blind) {
	t.Helper()
	scope, err := netns.ParseScope(values)
	if err != nil {
		t.Fatal(err)
	}
	spaces, blind := netns.List(context.Background(), scope)
	t.Cleanup(func() { netns.Close(spaces) })
	byLabel := map[string]netns.Space{}
	for _, s := range spaces {
		byLabel[s.Label] = s
	}
	if len(byLabel) != len(spaces) {
		t.Errorf("a label stands twice in %v", spaces)
	}
	return byLabel, blind
}

func TestCurrentIsTheOnlyOneAskedFor(t *testing.T) {
	spaces, blind := list(t)
	if len(spaces) != 1 || len(blind) != 0 || spaces[""].UID != 0 {
		t.Errorf("listed %v, blind %v", spaces, blind)
	}
}

func spaceID(t *testing.T, s labtest.Space) netns.ID {
	t.Helper()
	id, err := s.Handle().ID()
	if err != nil {
		t.Fatal(err)
	}
	return id
}

// sleeper starts a process in the namespace that waits until the test ends.
func sleeper(t *testing.T, s labtest.Space) int {
	t.Helper()
	cmd := exec.Command("cat")
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	s.MustDo(t, func(context.Context) error { return cmd.Start() })
	t.Cleanup(func() {
		in.Close()
		_ = cmd.Wait()
	})
	return cmd.Process.Pid
}

func TestNamespacesOfProcessesAreFoundOnce(t *testing.T) {
	s := labtest.New(t)
	first := sleeper(t, s)
	second := sleeper(t, s)
	spaces, _ := list(t, "all")
	label := fmt.Sprintf("pid:%d", min(first, second))
	got, ok := spaces[label]
	if !ok || got.ID != spaceID(t, s) || got.PID != min(first, second) || got.UID != 0 {
		t.Errorf("%s is not the lab's namespace: %+v", label, got)
	}
	if _, ok := spaces[fmt.Sprintf("pid:%d", max(first, second))]; ok {
		t.Error("the namespace is listed under both of its processes")
	}
	if _, ok := spaces[""]; !ok {
		t.Error("the namespace of the test itself is missing")
	}
	if !entered(t, got) {
		t.Error("work did not run in the namespace")
	}
}

// entered says whether Do works in the namespace that the space names.
func entered(t *testing.T, s netns.Space) (ok bool) {
	t.Helper()
	err := s.Handle.Do(context.Background(), func(context.Context) error {
		here, err := netns.Current()
		if err != nil {
			return err
		}
		defer here.Close()
		id, err := here.ID()
		ok = id == s.ID
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return ok
}

// asNamed mounts a namespace under a name in a mount namespace of the test's
// own thread, with /run/netns covered, and lists from there.
func asNamed(t *testing.T, s labtest.Space, work func(dir string)) {
	t.Helper()
	done := make(chan error, 1)
	go func() {
		runtime.LockOSThread() // the thread ends with its mounts
		done <- coverNamed(s, work)
	}()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
}

func coverNamed(s labtest.Space, work func(dir string)) error {
	const dir = "/run/netns"
	if err := unix.Unshare(unix.CLONE_NEWNS | unix.CLONE_FS); err != nil {
		return err
	}
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return err
	}
	if err := unix.Mount("lab", "/run", "tmpfs", 0, ""); err != nil {
		return err
	}
	if err := os.Mkdir(dir, 0o755); err != nil {
		return err
	}
	path := filepath.Join(dir, "lab")
	if err := os.WriteFile(path, nil, 0o444); err != nil {
		return err
	}
	if err := unix.Mount(fmt.Sprintf("/proc/self/fd/%d", s.Handle().Fd()), path, "", unix.MS_BIND, ""); err != nil {
		return err
	}
	work(dir)
	return nil
}

func TestNamedNamespaces(t *testing.T) {
	s := labtest.New(t)
	asNamed(t, s, func(dir string) {
		if err := os.WriteFile(filepath.Join(dir, "left-behind"), nil, 0o444); err != nil {
			t.Error(err)
		}
		for _, values := range [][]string{{"all"}, {"lab"}, {"lab", "pid:" + fmt.Sprint(sleeper(t, s))}} {
			spaces, blind := list(t, values...)
			if spaces["lab"].ID != spaceID(t, s) {
				t.Errorf("%v: listed %v", values, spaces)
			}
			if values[0] == "lab" && (len(spaces) != 1 || len(blind) != 0) {
				t.Errorf("%v: listed more: %v, blind %v", values, spaces, blind)
			}
			for _, b := range blind {
				if strings.Contains(b.What, "left-behind") {
					t.Errorf("a name without namespace is blind: %v", b)
				}
			}
		}
	})
}

func TestAPathKeepsItsLabel(t *testing.T) {
	s := labtest.New(t)
	path := fmt.Sprintf("/proc/%d/ns/net", sleeper(t, s))
	if spaces, _ := list(t, path); spaces[path].ID != spaceID(t, s) {
		t.Errorf("listed %v", spaces)
	}
	home := fmt.Sprintf("/proc/%d/ns/net", os.Getppid())
	if spaces, _ := list(t, home); len(spaces) != 1 || spaces[""].Handle.Path() != home {
		t.Errorf("a path to where the test was started has another label: %v", spaces)
	}
}

func TestWhatCannotBeOpenedIsBlind(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, value := range []string{"no-such-name", "pid:2147483647", file, "/proc/self/ns/mnt"} {
		spaces, blind := list(t, value)
		if len(spaces) != 0 || len(blind) != 1 {
			t.Errorf("%s: listed %v, blind %v", value, spaces, blind)
		}
	}
}

func TestOwnerIsThatOfTheUserNamespace(t *testing.T) {
	labtest.New(t, "unshare") // for its demand of root
	cmd := exec.Command("unshare", "--user", "--map-root-user", "--net", "cat")
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 4711, Gid: 4711}}
	echoed := startEcho(t, cmd)
	if !echoed {
		t.Skip("this kernel gives users no namespaces of their own")
	}
	label := fmt.Sprintf("pid:%d", cmd.Process.Pid)
	if spaces, blind := list(t, label); len(blind) != 0 || spaces[label].UID != 4711 {
		t.Errorf("listed %+v, blind %v", spaces[label], blind)
	}
}

// startEcho starts cat behind whatever makes its namespaces, and says whether
// it came to run.
func startEcho(t *testing.T, cmd *exec.Cmd) bool {
	t.Helper()
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		in.Close()
		_ = cmd.Wait()
	})
	_, _ = in.Write([]byte("x"))
	n, _ := out.Read(make([]byte, 1))
	return n == 1
}

func TestIfacesAndAddresses(t *testing.T) {
	s := labtest.New(t, "ip")
	s.MustRun(t, "", "ip", "link", "add", "h0", "type", "veth", "peer", "name", "h1")
	s.MustRun(t, "", "ip", "link", "set", "lo", "up")
	s.MustRun(t, "", "ip", "link", "set", "h0", "up")
	s.MustRun(t, "", "ip", "addr", "add", "10.77.1.1/24", "dev", "h0")
	s.MustRun(t, "", "ip", "addr", "add", "10.77.1.9/32", "dev", "h1")
	s.MustRun(t, "", "ip", "addr", "add", "2001:db8::1/64", "dev", "h0", "nodad")
	s.MustDo(t, func(ctx context.Context) error {
		ifaces, addrs, err := netns.Ifaces(ctx)
		if got, want := strings.Join(addrs, " "), "10.77.1.1 10.77.1.9 127.0.0.1 ::1 2001:db8::1"; got != want {
			t.Errorf("addresses %s, want %s", got, want)
		}
		up := map[string]bool{}
		for _, i := range ifaces {
			up[i.Name] = i.Up
		}
		if len(ifaces) != 3 || !up["lo"] || !up["h0"] || up["h1"] || ifaces[0].Index != 1 {
			t.Errorf("interfaces %+v", ifaces)
		}
		return err
	})
}

// Five hundred namespaces are found well within the two seconds that an
// administrator would wait.
func BenchmarkList500(b *testing.B) {
	for range 500 {
		s := labtest.New(b)
		cmd := exec.Command("cat")
		in, err := cmd.StdinPipe()
		if err != nil {
			b.Fatal(err)
		}
		s.MustDo(b, func(context.Context) error { return cmd.Start() })
		b.Cleanup(func() {
			in.Close()
			_ = cmd.Wait()
		})
	}
	for b.Loop() {
		spaces, _ := netns.List(context.Background(), netns.AllSpaces())
		if len(spaces) < 501 {
			b.Fatalf("only %d namespaces", len(spaces))
		}
		netns.Close(spaces)
	}
}

func TestWorkThatNeverReturnsIsAnError(t *testing.T) {
	s := labtest.New(t)
	err := s.Handle().Do(context.Background(), func(context.Context) error {
		runtime.Goexit()
		return nil
	})
	if err == nil {
		t.Error("no error although the work did not return")
	}
}

// Process 1 may be closed even to root (it is in some sandboxes); where it
// lives in a namespace that is known anyway, nothing is blind for it.
func TestHiddenProcessesInKnownNamespacesAreNotBlind(t *testing.T) {
	if _, err := os.Readlink("/proc/1/ns/net"); err == nil {
		t.Skip("process 1 can be read here")
	}
	for _, b := range blindOf(t, "all") {
		if strings.Contains(b.What, "process 1") {
			t.Errorf("blind: %+v", b)
		}
	}
}

func blindOf(t *testing.T, values ...string) []host.Blind {
	_, blind := list(t, values...)
	return blind
}
