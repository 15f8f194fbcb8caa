package proc

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/natwarden/natwarden/internal/host"
	"github.com/natwarden/natwarden/internal/lab/labtest"
)

func TestASharedSocketNamesAllItsProcesses(t *testing.T) {
	space := labtest.New(t)
	f := heldByTest(t, space)
	a := server{port: 8000, count: 1, files: []*os.File{f}}.start(t, space)
	b := server{port: 8001, count: 1, files: []*os.File{f}}.start(t, space)
	want := []int{os.Getpid(), a, b}
	slices.Sort(want)
	for _, l := range readSpace(t, space) {
		if l.Port == 443 && !slices.Equal(pidsOf(l), want) {
			t.Errorf("port 443 is held by %v, want %v", pidsOf(l), want)
		}
		if l.Port != 443 && len(l.Processes) != 1 {
			t.Errorf("port %d is held by %v, want one", l.Port, pidsOf(l))
		}
	}
}

func TestReuseportGivesARowForEachSocket(t *testing.T) {
	space := labtest.New(t)
	a := server{port: 8000, count: 1}.start(t, space)
	b := server{port: 8000, count: 1}.start(t, space)
	found := readSpace(t, space)
	var holders []int
	ids := map[string]bool{}
	for _, l := range found {
		holders = append(holders, pidsOf(l)...)
		ids[l.ID] = true
		if l.Netns != "lab" || l.User != "root" {
			t.Errorf("namespace %q, user %q", l.Netns, l.User)
		}
	}
	slices.Sort(holders)
	if len(found) != 2 || !slices.Equal(holders, []int{min(a, b), max(a, b)}) {
		t.Errorf("%d sockets, held by %v, want %d and %d", len(found), holders, a, b)
	}
	if len(ids) != 2 {
		t.Errorf("two equal sockets have the ids %v", ids)
	}
	for id := range ids {
		if base, n, ok := strings.Cut(id, "-"); len(base) != 12 || ok && n != "2" {
			t.Errorf("id %q", id)
		}
	}
}

func TestIDsAreTheSameForAnotherProcess(t *testing.T) {
	var ids []string
	for range 2 {
		space := labtest.New(t)
		server{port: 8000, count: 1}.start(t, space)
		ids = append(ids, readSpace(t, space)[0].ID)
	}
	if ids[0] != ids[1] {
		t.Errorf("the same listener has the ids %v", ids)
	}
}

// The socket lives on in a message that nobody has received: no process has it.
func TestASocketWithoutProcess(t *testing.T) {
	space := labtest.New(t)
	f := heldByTest(t, space)
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(pair[0])
	defer unix.Close(pair[1])
	if err := unix.Sendmsg(pair[0], []byte("x"), unix.UnixRights(int(f.Fd())), nil, 0); err != nil {
		t.Fatal(err)
	}
	f.Close()
	found := readSpace(t, space)
	if len(found) != 1 || len(found[0].Processes) != 0 || found[0].Processes == nil {
		t.Errorf("want one listener without processes, read %+v", found)
	}
}

func TestTheProgramOfAProcess(t *testing.T) {
	space := labtest.New(t)
	for i, c := range []struct {
		name          string
		after         func(path string) error
		deleted, host bool
	}{
		{"stays", func(string) error { return nil }, false, true},
		{"removed", os.Remove, true, false},
		{"replaced", func(p string) error {
			if err := os.Remove(p); err != nil {
				return err
			}
			return os.WriteFile(p, []byte("another"), 0o755)
		}, true, false},
		{"odd (deleted)", func(string) error { return nil }, false, true},
		{"odder (deleted)", os.Remove, true, false},
	} {
		path := linkOf(t, c.name)
		pid := server{exe: path, port: 8000 + i, count: 1}.start(t, space)
		if err := c.after(path); err != nil {
			t.Fatal(err)
		}
		p, err := NewDescriber(nil).Describe(context.Background(), pid)
		if err != nil || p.Exe != path || p.Deleted != c.deleted || p.HostExe != c.host {
			t.Errorf("%s: %+v, %v", c.name, p, err)
		}
	}
}

// The last name of the file goes, so that nothing but the process has it.
func TestAProgramThatIsNoMore(t *testing.T) {
	path := copyOf(t, "upgraded")
	pid := server{exe: path, port: 8000, count: 1}.start(t, labtest.New(t))
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	p, err := NewDescriber(nil).Describe(context.Background(), pid)
	if err != nil || p.Exe != path || !p.Deleted || p.HostExe {
		t.Errorf("%+v, %v", p, err)
	}
}

// What another mount namespace calls by a name of the host's is not the host's.
func TestAnotherMountNamespaceIsNotTheHost(t *testing.T) {
	space := labtest.New(t, "unshare", "mount", "cp")
	path := linkOf(t, "relay")
	dir := filepath.Dir(path)
	script := fmt.Sprintf(`cp %[1]s /tmp/.relay.$$ && mount -t tmpfs lab %[2]s && mv /tmp/.relay.$$ %[1]s && exec %[1]s`, path, dir)
	pid := server{exe: "/usr/bin/unshare", args: []string{"-m", "sh", "-c", script}, port: 8000, count: 1}.start(t, space)
	p, err := NewDescriber(nil).Describe(context.Background(), pid)
	if err != nil || p.Exe != path || p.HostExe {
		t.Errorf("%+v, %v", p, err)
	}
}

func TestHostileNamesAreData(t *testing.T) {
	space := labtest.New(t)
	name := "a\nb\x1b[2J)c"
	pid := server{exe: linkOf(t, name), args: []string{"--password", "hunter2", "\x1b]0;x\x07", ""}, port: 8000, count: 1}.start(t, space)
	p, err := NewDescriber(nil).Describe(context.Background(), pid)
	if err != nil || p.Name != name || filepath.Base(p.Exe) != name || !p.HostExe {
		t.Errorf("%+v, %v", p, err)
	}
	if want := []string{"--password", "***", "\x1b]0;x\x07", ""}; len(p.Args) < 4 || !slices.Equal(p.Args[1:4], want[:3]) {
		t.Errorf("arguments %q, want %q", p.Args[1:], want)
	}
}

func TestTheEnvironmentCannotLie(t *testing.T) {
	t.Setenv("HOST_PROC", t.TempDir())
	p, err := NewDescriber(nil).Describe(context.Background(), os.Getpid())
	if err != nil || p.Exe != testBinary(t) || len(p.Args) == 0 {
		t.Errorf("%+v, %v", p, err)
	}
}

func TestUsers(t *testing.T) {
	d := NewDescriber(nil)
	for uid, want := range map[uint32]string{0: "root", 4000000001: "4000000001"} {
		if got := d.User(uid); got != want {
			t.Errorf("uid %d is %q, want %q", uid, got, want)
		}
	}
}

func TestEndedProcesses(t *testing.T) {
	_, err := NewDescriber(nil).Describe(context.Background(), 1<<30)
	if err == nil || !ended(err) {
		t.Errorf("a process that is not there: %v", err)
	}
	known, blind := sift([]int{7}, make([]host.Process, 1), []error{err})
	if len(known) != 0 || len(blind) != 0 {
		t.Errorf("it is listed: %v %v", known, blind)
	}
}

// Ownerless is proven only where every process could be looked into.
func TestNoProcessIsNotProvenWhereSomeAreHidden(t *testing.T) {
	l := &host.Listener{Proto: "tcp", Address: "0.0.0.0", Port: 80}
	b := unproven(l, &Held{Unread: 2, First: 17, Why: unix.EACCES})
	if !strings.Contains(b.What, "port 80") || !strings.Contains(b.Why, "process 17") || !strings.Contains(b.Why, "2 processes") {
		t.Errorf("%+v", b)
	}
}
