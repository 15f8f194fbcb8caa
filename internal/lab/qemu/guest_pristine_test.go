package qemu

import (
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
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

// unchanged runs natwarden and compares the modules before and after.
func unchanged(t *testing.T, args ...string) (code int, out string) {
	t.Helper()
	before := loadedModules(t)
	b, err := exec.Command("/usr/bin/natwarden", args...).CombinedOutput()
	if after := loadedModules(t); !slices.Equal(after, before) {
		t.Errorf("natwarden %s loaded %v", strings.Join(args, " "), slices.DeleteFunc(after, func(m string) bool { return slices.Contains(before, m) }))
	}
	return exitCode(err), string(b)
}

// holder is the name of a process that holds a connection to the address that
// is its argument until its input ends.
const holder = "hold"

func hold() {
	c, err := net.Dial("tcp", os.Args[1])
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	_, _ = io.Copy(io.Discard, os.Stdin)
	c.Close()
	os.Exit(0)
}

// connectedBy lets another process connect to a listener of this one.
func connectedBy(t *testing.T, l net.Listener) net.Conn {
	t.Helper()
	cmd := exec.Command("/init", strings.Replace(l.Addr().String(), "[::]", "127.0.0.1", 1))
	cmd.Args[0] = holder
	in, err := cmd.StdinPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { in.Close(); _ = cmd.Wait() })
	c, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

func listener(t *testing.T) net.Listener {
	t.Helper()
	l, err := net.Listen("tcp", ":0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return l
}

// A host with connections, as any has: the bytes of them are not asked for
// where tcp_diag would be loaded. Of a process that only they could tell to be
// a relay, that is said.
func TestPristineConnectionsLoadNothing(t *testing.T) {
	inGuest(t)
	if err := labLoopback(); err != nil {
		t.Fatal(err)
	}
	front, back := listener(t), listener(t)
	connectedBy(t, front)
	for _, s := range [][3]int{{unix.AF_INET6, unix.SOCK_DGRAM, 0}, {unix.AF_INET, unix.SOCK_RAW, unix.IPPROTO_ICMP}, {unix.AF_PACKET, unix.SOCK_RAW, 0x0300}, {unix.AF_UNIX, unix.SOCK_STREAM, 0}} {
		fd, err := unix.Socket(s[0], s[1]|unix.SOCK_CLOEXEC, s[2])
		if err != nil {
			t.Fatal(err)
		}
		defer unix.Close(fd)
		if s[0] == unix.AF_INET6 {
			err = unix.Bind(fd, &unix.SockaddrInet6{Port: 5353})
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if code, out := unchanged(t, "audit", "-o", "json"); code != 0 {
		t.Errorf("a server: exit %d\n%s", code, out)
	}
	unchanged(t, "remediate", "--policy", "builtin", "--include", "all", "--dry-run")
	// Now this process holds an accepted connection and one of its own.
	c, err := net.Dial("tcp", strings.Replace(back.Addr().String(), "[::]", "127.0.0.1", 1))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if code, out := unchanged(t, "audit", "-o", "json"); code != 3 || !strings.Contains(out, "modprobe tcp_diag") {
		t.Errorf("what may be a relay: exit %d\n%s", code, out)
	}
	l, err := newLoader()
	if err == nil {
		err = l.load("tcp_diag")
	}
	if err != nil {
		t.Fatal(err)
	}
	xdp, err := unix.Socket(unix.AF_XDP, unix.SOCK_RAW|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	if code, out := unchanged(t, "audit", "-o", "json"); code != 3 || !strings.Contains(out, "AF_XDP") {
		t.Errorf("an AF_XDP socket: exit %d\n%s", code, out)
	}
	unix.Close(xdp)
	if code, out := unchanged(t, "audit", "-o", "json"); code != 0 {
		t.Errorf("the bytes differ, so it passes nothing on: exit %d\n%s", code, out)
	}
}

// labLoopback brings up the machine's own loopback.
func labLoopback() error {
	lo, err := netlink.LinkByName("lo")
	if err == nil {
		err = netlink.LinkSetUp(lo)
	}
	return err
}

// Looking at everything loads no module: not ip_vs, not ip_tables, not a socket
// family; nor where a neighbour is there, whose next question would load the next one.
func TestPristineReadingLoadsNothing(t *testing.T) {
	inGuest(t)
	if before := loadedModules(t); len(before) > 5 {
		t.Errorf("the machine begins with %d modules: %v", len(before), before)
	}
	l, err := newLoader()
	if err != nil {
		t.Fatal(err)
	}
	for _, modules := range []string{"", "nfnetlink nf_conntrack", "x_tables ip_tables ip6_tables", "iptable_filter", "nf_tables ebtables", "inet_diag tcp_diag sctp", "ip_vs ip_set", "sch_ingress nf_conntrack_netlink"} {
		for _, module := range strings.Fields(modules) {
			if err := l.load(module); err != nil {
				t.Errorf("loading %s: %v", module, err)
			}
		}
		if code, out := unchanged(t, "audit", "-o", "json"); code != 0 {
			t.Errorf("with %q a machine without redirects is not compliant: exit %d\n%s", modules, code, out)
		}
	}
	unchanged(t, "explain", "tcp/80", "--from", "192.0.2.1", "--to", "127.0.0.1", "--in", "lo")
	unchanged(t, "remediate", "--policy", "builtin", "--include", "all", "--dry-run")
	unchanged(t, "policy", "init", "--policy", "/tmp/policy.yaml")
	unchanged(t, "verify")
	unchanged(t, "snapshot", "take", "--state-dir", "/tmp/state")
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

// What a guest prints is read as go test writes it.
func TestOutcomes(t *testing.T) {
	text := "\x1b[2J" + suiteBegins + "a\n=== RUN   TestOne\n--- PASS: TestOne (0.00s)\n=== RUN   TestTwo\n=== RUN   TestTwo/sub\n    x.go:1: wrong\n--- FAIL: TestTwo (0.01s)\n    --- FAIL: TestTwo/sub (0.00s)\n=== RUN   TestThree\n    x.go:2: no\n--- SKIP: TestThree (0.00s)\nFAIL\n" +
		suiteEnds + "a after 1s: exit status 1\n" + suiteBegins + "b\n=== RUN   TestFour\npanic: oh\n" + suiteEnds + "b after 1s: exit status 2\n"
	all, ends := outcomes(text)
	var got []string
	for _, o := range all {
		got = append(got, o.suite+" "+o.name+" "+o.result+" "+strings.TrimSpace(o.said))
	}
	want := []string{"a TestOne PASS ", "a TestTwo FAIL x.go:1: wrong", "a TestThree SKIP x.go:2: no", "b crash FAIL panic: oh"}
	if len(ends) != 2 || len(got) != 4 || got[0] != want[0] || got[1] != want[1] || !strings.HasSuffix(got[2], "x.go:2: no") || got[3] != want[3] {
		t.Errorf("got %q, ends %q", got, ends)
	}
}
