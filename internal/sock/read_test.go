package sock

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/natwarden/natwarden/internal/host"
	"github.com/natwarden/natwarden/internal/kmod"
	"github.com/natwarden/natwarden/internal/lab/labtest"
)

// opener is a socket to open inside a namespace.
type opener struct {
	family, kind, proto int
	addr                unix.Sockaddr
	listen              bool
	options             []option
}

type option struct{ level, name, value int }

// open makes the socket in the namespace of the thread. It is closed with the test.
func (o opener) open(t *testing.T) {
	t.Helper()
	fd, err := unix.Socket(o.family, o.kind|unix.SOCK_CLOEXEC, o.proto)
	if err != nil {
		t.Fatalf("opening %+v: %v", o, err)
	}
	t.Cleanup(func() { unix.Close(fd) })
	for _, opt := range o.options {
		if err := unix.SetsockoptInt(fd, opt.level, opt.name, opt.value); err != nil {
			t.Fatalf("setting %+v: %v", opt, err)
		}
	}
	if err := unix.Bind(fd, o.addr); err != nil {
		t.Fatalf("binding %+v: %v", o, err)
	}
	if o.listen {
		if err := unix.Listen(fd, 5); err != nil {
			t.Fatalf("listening %+v: %v", o, err)
		}
	}
}

func v4(port int) unix.Sockaddr { return &unix.SockaddrInet4{Port: port} }
func v6(port int) unix.Sockaddr { return &unix.SockaddrInet6{Port: port} }

func mapped(port int) unix.Sockaddr {
	return &unix.SockaddrInet6{Port: port, Addr: [16]byte{10: 0xff, 11: 0xff, 12: 127, 15: 1}}
}

func readIn(t *testing.T, space labtest.Space) (found []host.Listener, blind []host.Blind) {
	t.Helper()
	space.MustDo(t, func(ctx context.Context) (err error) {
		found, blind, err = Read(ctx)
		return err
	})
	return found, blind
}

// line writes what is compared of a listener.
func line(l host.Listener) string {
	text := fmt.Sprintf("%s %s %d", l.Proto, l.Address, l.Port)
	for _, flag := range []struct {
		on   bool
		word string
	}{{l.Transparent, "transparent"}, {l.V6Only, "v6only"}, {l.DualStack, "dual"}, {l.MPTCP, "mptcp"}, {l.Partial, "partial"}, {l.Device != "", "dev:" + l.Device}, {l.Inode == 0, "no-inode"}} {
		if flag.on {
			text += " " + flag.word
		}
	}
	return text
}

func lines(found []host.Listener) []string {
	var out []string
	for _, l := range found {
		out = append(out, line(l))
	}
	slices.Sort(out)
	return out
}

// manySockets opens one socket of every sort that this kernel has and gives
// what must be read of them.
func manySockets(t *testing.T) []string {
	stream, dgram := unix.SOCK_STREAM, unix.SOCK_DGRAM
	opener{unix.AF_INET, stream, 0, v4(1001), true, nil}.open(t)
	opener{unix.AF_INET, stream, 0, v4(1002), false, nil}.open(t) // bound, not listening
	opener{unix.AF_INET6, stream, 0, v6(1003), true, nil}.open(t)
	opener{unix.AF_INET6, stream, 0, v6(1004), true, []option{{unix.IPPROTO_IPV6, unix.IPV6_V6ONLY, 1}}}.open(t)
	opener{unix.AF_INET6, stream, 0, mapped(1005), true, nil}.open(t)
	opener{unix.AF_INET, stream, 0, v4(1006), true, []option{{unix.SOL_IP, unix.IP_TRANSPARENT, 1}}}.open(t)
	opener{unix.AF_INET6, stream, 0, v6(1007), true, []option{{unix.SOL_IPV6, unix.IPV6_TRANSPARENT, 1}}}.open(t)
	opener{unix.AF_INET, dgram, 0, v4(1008), false, []option{{unix.SOL_SOCKET, unix.SO_BINDTOIFINDEX, 1}}}.open(t)
	opener{unix.AF_INET6, dgram, 0, v6(1009), false, nil}.open(t)
	opener{unix.AF_INET, dgram, 0, v4(1010), false, []option{{unix.SOL_IP, unix.IP_TRANSPARENT, 1}}}.open(t)
	want := []string{
		"tcp 0.0.0.0 1001", "tcp :: 1003 dual", "tcp :: 1004 v6only", "tcp 127.0.0.1 1005",
		"tcp 0.0.0.0 1006 transparent", "tcp :: 1007 transparent dual",
		"udp 0.0.0.0 1008 dev:lo", "udp :: 1009 dual", "udp 0.0.0.0 1010 transparent",
	}
	known := registered()
	if known["UDP-Lite"] {
		opener{unix.AF_INET, dgram, unix.IPPROTO_UDPLITE, v4(1011), false, nil}.open(t)
		opener{unix.AF_INET6, dgram, unix.IPPROTO_UDPLITE, v6(1012), false, nil}.open(t)
		want = append(want, "udplite 0.0.0.0 1011", "udplite :: 1012 dual")
	}
	if known["MPTCP"] {
		opener{unix.AF_INET, stream, unix.IPPROTO_MPTCP, v4(1013), true, nil}.open(t)
		opener{unix.AF_INET6, stream, unix.IPPROTO_MPTCP, v6(1014), true, nil}.open(t)
		want = append(want, "tcp 0.0.0.0 1013 mptcp", "tcp :: 1014 dual mptcp")
	}
	if known["SCTP"] {
		opener{unix.AF_INET, stream, unix.IPPROTO_SCTP, v4(1015), true, nil}.open(t)
		want = append(want, "sctp 0.0.0.0 1015")
	}
	slices.Sort(want)
	return want
}

func openIn(t *testing.T, space labtest.Space) (want []string) {
	t.Helper()
	space.MustRun(t, "", "ip", "link", "set", "lo", "up")
	space.MustDo(t, func(context.Context) error {
		want = manySockets(t)
		return nil
	})
	return want
}

func TestEverySortOfSocketIsRead(t *testing.T) {
	space := labtest.New(t, "ip")
	want := openIn(t, space)
	found, blind := readIn(t, space)
	if got := lines(found); !slices.Equal(got, want) {
		t.Errorf("read\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	if len(blind) != 0 {
		t.Errorf("blind: %v", blind)
	}
}

// The first subflow of an MPTCP listener is that listener, by its inode.
func TestAnMPTCPListenerIsOne(t *testing.T) {
	if !registered()["MPTCP"] {
		t.Skip("this kernel has no MPTCP")
	}
	space := labtest.New(t)
	space.MustDo(t, func(context.Context) error {
		opener{unix.AF_INET, unix.SOCK_STREAM, unix.IPPROTO_MPTCP, v4(80), true, nil}.open(t)
		return nil
	})
	found, _ := readIn(t, space)
	if len(found) != 1 || found[0].Proto != "tcp" || !found[0].MPTCP || found[0].Inode == 0 {
		t.Errorf("want one socket, read %+v", found)
	}
}

// Without the diag modules the same sockets come from /proc/net; what that
// cannot tell is marked partial.
func TestProcNetListsTheSameSockets(t *testing.T) {
	space := labtest.New(t, "ip")
	want := openIn(t, space)
	var got []host.Listener
	space.MustDo(t, func(ctx context.Context) error {
		r := newReader(ctx, kmod.Of())
		for _, k := range kinds() {
			for v6 := range 2 {
				if err := r.read(k, v6); err != nil {
					t.Errorf("%s: %v", what(k, v6), err)
				}
			}
		}
		got = r.found
		if r.diag != nil {
			t.Error("sock_diag was asked although its modules are not loaded")
		}
		return nil
	})
	if a, b := strings.Join(coarse(lines(got)), "\n"), strings.Join(coarse(want), "\n"); a != b {
		t.Errorf("read\n%s\nwant\n%s", a, b)
	}
	for _, l := range got {
		if !l.Partial || l.Inode == 0 {
			t.Errorf("%s: not partial, or without inode", line(l))
		}
	}
}

// coarse leaves protocol, address and port of sockets that /proc/net lists.
func coarse(in []string) []string {
	var out []string
	for _, text := range in {
		if !strings.HasPrefix(text, "mptcp") {
			out = append(out, strings.Join(strings.Fields(text)[:3], " "))
		}
	}
	slices.Sort(out)
	return out
}

func TestUIDIsThatOfTheOwner(t *testing.T) {
	space := labtest.New(t)
	space.MustDo(t, func(context.Context) error {
		// of this thread only, which ends with the work
		if _, _, errno := syscall.RawSyscall(unix.SYS_SETRESUID, ^uintptr(0), 4711, 0); errno != 0 {
			return errno
		}
		opener{unix.AF_INET, unix.SOCK_DGRAM, 0, v4(5353), false, nil}.open(t)
		return nil
	})
	if found, _ := readIn(t, space); len(found) != 1 || found[0].UID != 4711 {
		t.Errorf("want one socket of uid 4711, read %+v", found)
	}
}

func TestEndedContext(t *testing.T) {
	ctx, stop := context.WithCancel(context.Background())
	stop()
	if _, _, err := Read(ctx); err == nil {
		t.Error("no error although the context had ended")
	}
}

func TestConnectedSocketsAreNoListeners(t *testing.T) {
	space := labtest.New(t, "ip")
	space.MustRun(t, "", "ip", "link", "set", "lo", "up")
	space.MustDo(t, func(context.Context) error {
		fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
		if err != nil {
			return err
		}
		t.Cleanup(func() { unix.Close(fd) })
		return unix.Connect(fd, &unix.SockaddrInet4{Port: 53, Addr: [4]byte{127, 0, 0, 1}})
	})
	if found, _ := readIn(t, space); len(found) != 0 {
		t.Errorf("a connected UDP socket is listed: %+v", found)
	}
}

func BenchmarkRead(b *testing.B) {
	space := labtest.New(b, "ip")
	raise(b, 12000)
	for i := range 10000 {
		space.MustDo(b, func(context.Context) error {
			fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
			if err != nil {
				return err
			}
			b.Cleanup(func() { unix.Close(fd) })
			if err := unix.Bind(fd, v4(10000+i)); err != nil {
				return err
			}
			return unix.Listen(fd, 1)
		})
	}
	space.MustDo(b, func(ctx context.Context) error {
		for b.Loop() {
			found, blind, err := Read(ctx)
			if err != nil || len(found) != 10000 || len(blind) != 0 {
				b.Fatal(len(found), blind, err)
			}
		}
		return nil
	})
}

func raise(b *testing.B, files uint64) {
	if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &unix.Rlimit{Cur: files, Max: files}); err != nil {
		b.Skip(err)
	}
}

func golden(t testing.TB, name string) []byte {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	return b
}
