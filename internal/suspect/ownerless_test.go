package suspect

import (
	"context"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/natwarden/natwarden/internal/host"
	"github.com/natwarden/natwarden/internal/lab/labtest"
	"github.com/natwarden/natwarden/internal/netns"
	"github.com/natwarden/natwarden/internal/sock"
)

// insideEnv is set where the test runs in a PID namespace of its own, in
// which it can look into every process.
const insideEnv = "NATWARDEN_TEST_INSIDE"

// inside runs the test again in a PID namespace of its own; it says whether
// this is that run.
func inside(t *testing.T) bool {
	if os.Getenv(insideEnv) != "" {
		return true
	}
	labtest.New(t, "unshare") // for its demand of root
	cmd := exec.Command("unshare", "--pid", "--fork", "--kill-child", "--mount-proc",
		"sh", "-c", `"$0" "$@"; exit $?`, os.Args[0], "-test.run=^"+t.Name()+"$", "-test.v")
	cmd.Env = append(os.Environ(), insideEnv+"=1")
	out, err := cmd.CombinedOutput()
	if err != nil || strings.Contains(string(out), "SKIP") || !strings.Contains(string(out), "PASS: "+t.Name()) {
		t.Errorf("inside: %v\n%s", err, out)
	}
	return false
}

func way(t *testing.T, s labtest.Space) Space {
	id, err := s.Handle().ID()
	if err != nil {
		t.Fatal(err)
	}
	return Space{ID: id, Enter: s.Do}
}

// look reads the space and looks at it.
func look(t *testing.T, s labtest.Space) (*host.Space, []host.Blind) {
	t.Helper()
	read := &host.Space{Netns: "lab"}
	s.MustDo(t, func(ctx context.Context) (err error) {
		if read.Listeners, _, err = sock.Read(ctx); err != nil {
			return err
		}
		read.Packets, err = sock.Packets(ctx)
		return err
	})
	blind, err := Look(context.Background(), []*host.Space{read}, []Space{way(t, s)}, map[netns.ID]string{way(t, s).ID: "lab"})
	if err != nil {
		t.Fatal(err)
	}
	return read, blind
}

// listen opens a TCP listener in the space and gives its descriptor.
func listen(t *testing.T, s labtest.Space, port int, options ...int) int {
	t.Helper()
	fd := -1
	s.MustDo(t, func(context.Context) (err error) {
		if fd, err = unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0); err != nil {
			return err
		}
		for i := 0; i+1 < len(options); i += 2 {
			if err := unix.SetsockoptInt(fd, options[i], options[i+1], 1); err != nil {
				return err
			}
		}
		if err := unix.Bind(fd, &unix.SockaddrInet4{Port: port}); err != nil {
			return err
		}
		return unix.Listen(fd, 5)
	})
	return fd
}

// park sends the descriptor to nobody and closes it.
func park(t *testing.T, fd int) {
	t.Helper()
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Close(pair[0]); unix.Close(pair[1]) })
	if err := unix.Sendmsg(pair[0], []byte("x"), unix.UnixRights(fd), nil, 0); err != nil {
		t.Fatal(err)
	}
	unix.Close(fd)
}

func TestAParkedListenerIsOwnerless(t *testing.T) {
	if !inside(t) {
		return
	}
	s := labtest.New(t)
	park(t, listen(t, s, 80))
	read, blind := look(t, s)
	if len(blind) != 0 || len(read.Redirects) != 1 {
		t.Fatalf("%+v, blind %v", read.Redirects, blind)
	}
	r := read.Redirects[0]
	if r.Mechanism != "socket" || r.Kind != "ownerless" || r.State != host.Active || r.Info || r.Ports != "80" || r.Proto != "tcp" || r.ID == "" {
		t.Errorf("%+v", r)
	}
}

func TestWhoParksIsWhatToEnd(t *testing.T) {
	if !inside(t) {
		return
	}
	s := labtest.New(t, "python3")
	code := `import socket,sys
l=socket.create_server(("0.0.0.0",80)); a,b=socket.socketpair(socket.AF_UNIX,socket.SOCK_DGRAM)
socket.send_fds(a,[b"x"],[l.fileno()]); l.close(); print("ready",flush=True); sys.stdin.read()`
	cmd := exec.Command("python3", "-c", code)
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	s.MustDo(t, func(context.Context) error { return cmd.Start() })
	t.Cleanup(func() { in.Close(); _ = cmd.Wait() })
	if n, _ := out.Read(make([]byte, 10)); n == 0 {
		t.Fatal("the server does not run")
	}
	read, _ := look(t, s)
	if len(read.Redirects) != 1 {
		t.Fatalf("%+v", read.Redirects)
	}
	r := read.Redirects[0]
	if r.Process == nil || r.Process.PID != cmd.Process.Pid || r.Ref == nil || r.Ref.Backend != "process" || r.Ref.Handle != uint64(cmd.Process.Pid) {
		t.Errorf("%+v, process %+v, ref %+v", r, r.Process, r.Ref)
	}
}

// The namespace of the first process may be shared with processes outside.
func TestOwnerlessIsNotProvenWhereOthersMayLive(t *testing.T) {
	if !inside(t) {
		return
	}
	var first unix.Stat_t
	if err := unix.Stat("/proc/1/ns/net", &first); err != nil {
		t.Fatal(err)
	}
	home := netns.ID{Dev: uint64(first.Dev), Ino: first.Ino}
	if sharedOutside(home, home) == "" || sharedOutside(netns.ID{}, home) == "" {
		t.Error("who may live outside is taken for absent")
	}
	if why := sharedOutside(way(t, labtest.New(t)).ID, home); why != "" {
		t.Errorf("a namespace that was made inside: %s", why)
	}
}

func TestAServerThatEndsMeanwhileIsGone(t *testing.T) {
	if !inside(t) {
		return
	}
	s := labtest.New(t)
	fd := listen(t, s, 80)
	read := &host.Space{Netns: "lab"}
	s.MustDo(t, func(ctx context.Context) (err error) {
		read.Listeners, _, err = sock.Read(ctx)
		return err
	})
	unix.Close(fd)
	blind, err := Look(context.Background(), []*host.Space{read}, []Space{way(t, s)}, nil)
	if err != nil || len(blind) != 0 || len(read.Redirects) != 0 || len(read.Listeners) != 0 {
		t.Errorf("%+v, %+v, blind %v, %v", read.Redirects, read.Listeners, blind, err)
	}
}

func TestNotes(t *testing.T) {
	sshd := host.Process{PID: 1, Name: "sshd", Exe: "/usr/sbin/sshd", HostExe: true}
	other := host.Process{PID: 2, Name: "x", Exe: "/tmp/x", Netns: "far", Notes: []string{"odd"}}
	l := func(p ...host.Process) host.Listener {
		return host.Listener{Proto: "tcp", Address: "0.0.0.0", Port: 22, Processes: p}
	}
	for name, c := range map[string]struct {
		list []host.Listener
		want []string // of the first
	}{
		"one":                          {[]host.Listener{l(sshd)}, nil},
		"two of one program":           {[]host.Listener{l(sshd), l(sshd)}, nil},
		"two programs by SO_REUSEPORT": {[]host.Listener{l(sshd), l(other)}, []string{"2 sockets share the port (SO_REUSEPORT), of different programs: /tmp/x (pid 2), /usr/sbin/sshd (pid 1)"}},
		"two programs on one socket":   {[]host.Listener{l(sshd, other)}, []string{"odd", "x (pid 2) lives in network namespace far", "different programs hold the same socket: /tmp/x (pid 2), /usr/sbin/sshd (pid 1)"}},
		"MPTCP":                        {[]host.Listener{{Proto: "tcp", Address: "::", Port: 1, MPTCP: true}}, []string{"it takes Multipath TCP as well"}},
	} {
		s := &host.Space{Listeners: c.list}
		note(s)
		if got := s.Listeners[0].Notes; !slices.Equal(got, c.want) {
			t.Errorf("%s: %q", name, got)
		}
	}
}

func TestATransparentListenerAloneIsInformation(t *testing.T) {
	s := labtest.New(t)
	listen(t, s, 80, unix.SOL_IP, unix.IP_TRANSPARENT)
	read, _ := look(t, s)
	if len(read.Redirects) != 1 || read.Redirects[0].Kind != "transparent" || !read.Redirects[0].Info || read.Redirects[0].Process == nil {
		t.Errorf("%+v", read.Redirects)
	}
}
