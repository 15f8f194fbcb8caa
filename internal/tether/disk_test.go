package tether

import (
	"context"
	"net"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/natwarden/natwarden/internal/lab/labtest"
)

func sysTree(t *testing.T, files map[string]string) string {
	t.Helper()
	root := t.TempDir()
	for name, text := range files {
		path := filepath.Join(root, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return root
}

// Disks over the network count also while they are being connected anew.
func TestDisksOfAServer(t *testing.T) {
	root := sysTree(t, map[string]string{
		"class/iscsi_connection/connection1:0/address":            "192.0.2.5\n",
		"class/iscsi_connection/connection1:0/port":               "3260\n",
		"class/iscsi_connection/connection1:0/persistent_address": "192.0.2.4\n",
		"class/iscsi_connection/connection1:0/persistent_port":    "3261\n",
		"class/iscsi_connection/connection2:0/persistent_address": "2001:db8::5\n",
		"class/iscsi_connection/connection2:0/persistent_port":    "3260\n",
		"class/iscsi_connection/connection3:0/address":            "(null)\n",
		"class/nvme/nvme0/transport":                              "pcie\n",
		"class/nvme/nvme0/address":                                "0000:00:04.0\n",
		"class/nvme/nvme1/transport":                              "tcp\n",
		"class/nvme/nvme1/address":                                "traddr=192.0.2.6,trsvcid=4420,src_addr=192.0.2.1\n",
		"class/nvme/nvme2/transport":                              "tcp\n",
		"class/nvme/nvme2/address":                                "traddr=2001:db8::6,trsvcid=4420\n",
	})
	f := &finder{asked: Asked{Remote: "remote"}, seen: map[string]bool{}}
	f.disks(root)
	want := []string{"192.0.2.5:3260", "192.0.2.4:3261", "[2001:db8::5]:3260", "192.0.2.6:4420", "[2001:db8::6]:4420"}
	if len(f.lines) != len(want) {
		t.Fatalf("%+v", f.lines)
	}
	for i, l := range f.lines {
		if l.There.String() != want[i] || l.Guard != "remote" || !l.Dialed || l.Proto != "tcp" {
			t.Errorf("%+v, want %s", l, want[i])
		}
	}
	f.disks(filepath.Join(root, "none"))
	if len(f.lines) != len(want) {
		t.Errorf("%+v", f.lines)
	}
}

// A connection that no process holds is the kernel's, as of NFS, NBD and DRBD. Here it
// is one that is on its way in a message (unix(7), SCM_RIGHTS): nobody holds that either.
func TestAConnectionOfTheKernel(t *testing.T) {
	s := labtest.New(t, "ip")
	s.MustRun(t, "", "ip", "link", "set", "lo", "up")
	s.MustRun(t, "", "ip", "addr", "add", "192.0.2.1/32", "dev", "lo")
	var dialed, kept net.Conn
	s.MustDo(t, func(ctx context.Context) error {
		l, err := net.Listen("tcp", "192.0.2.1:10809")
		if err != nil {
			return err
		}
		t.Cleanup(func() { l.Close() })
		if dialed, err = net.Dial("tcp", "192.0.2.1:10809"); err != nil {
			return err
		}
		kept, err = net.Dial("tcp", "192.0.2.1:10809")
		return err
	})
	defer kept.Close()
	here := dialed.LocalAddr().String()
	onItsWay(t, dialed)
	const words = "that no process holds"
	l := find(linesOf(t, s, Asked{}), words)
	if l == nil || l.Here.String() != here || l.There.String() != "192.0.2.1:10809" || l.Guard != "remote" || !l.Dialed || l.Netns != "lab" {
		t.Fatalf("%+v", l)
	}
	n := 0
	for _, l := range linesOf(t, s, Asked{}) {
		if l.There.IsValid() && l.There.Port() == 10809 {
			n++
		}
	}
	if n != 1 {
		t.Errorf("%d connections are the kernel's", n)
	}
}

// onItsWay sends a connection to nobody and closes it here.
func onItsWay(t *testing.T, c net.Conn) {
	t.Helper()
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Close(pair[0]); unix.Close(pair[1]) })
	file, err := c.(*net.TCPConn).File()
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	if err := unix.Sendmsg(pair[0], []byte("x"), unix.UnixRights(int(file.Fd())), nil, 0); err != nil {
		t.Fatal(err)
	}
	c.Close()
}
