package sock

import (
	"context"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/natwarden/natwarden/internal/host"
	"github.com/natwarden/natwarden/internal/kmod"
	"github.com/natwarden/natwarden/internal/lab/labtest"
)

// A file that lies is mounted over the kernel's list, in a mount namespace of
// the thread's own.
func TestTwoWaysThatDisagreeAreBlind(t *testing.T) {
	if !kmod.Read().Have("inet_diag", "tcp_diag") {
		t.Skip("sock_diag cannot be asked here")
	}
	const heading = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n"
	for name, c := range map[string]struct {
		lie  string
		want string
	}{
		"hides a socket": {heading, "/proc/net does not"},
		"makes one up":   {heading + "   0: 00000000:0050 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 4026531840 1 0 100 0 0 10 0\n", "sock_diag does not"},
	} {
		s := labtest.New(t)
		s.MustDo(t, func(context.Context) error {
			opener{unix.AF_INET, unix.SOCK_STREAM, 0, v4(443), true, nil}.open(t)
			return nil
		})
		if _, blind := readIn(t, s); len(blind) != 0 {
			t.Fatalf("blind although nothing lies: %v", blind)
		}
		var blind []host.Blind
		s.MustDo(t, func(ctx context.Context) (err error) {
			runtime.LockOSThread() // the thread ends with its mounts
			if err := cover(t, c.lie); err != nil {
				return err
			}
			_, blind, err = Read(ctx)
			return err
		})
		if !slices.ContainsFunc(blind, func(b host.Blind) bool { return strings.Contains(b.Why, c.want) }) {
			t.Errorf("%s: blind %v", name, blind)
		}
	}
}

// cover mounts a copy of /proc/net over it, with another tcp, for this thread
// only. (What is mounted over the file itself, the kernel drops at the next look.)
func cover(t *testing.T, tcp string) error {
	const path = "/proc/thread-self/net"
	dir := t.TempDir()
	for _, name := range []string{"tcp", "tcp6", "udp", "udp6", "udplite", "udplite6", "protocols"} {
		text, err := os.ReadFile(filepath.Join(path, name))
		if name == "tcp" {
			text = []byte(tcp)
		}
		if err == nil {
			err = os.WriteFile(filepath.Join(dir, name), text, 0o600)
		}
		if err != nil && !os.IsNotExist(err) {
			return err
		}
	}
	if err := unix.Unshare(unix.CLONE_NEWNS | unix.CLONE_FS); err != nil {
		return err
	}
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return err
	}
	return unix.Mount(dir, path, "", unix.MS_BIND, "")
}

func TestListeningEndsBehindThoseThatListen(t *testing.T) {
	const text = "sl local rem st\n 0: a b 0A x\n 1: a b 0A x\n 2: a b 01 x\n 3: a b 0A x\n"
	b := make([]byte, 200)
	n, _ := listening(strings.NewReader(text)).Read(b)
	if got := string(b[:n]); got != "sl local rem st\n 0: a b 0A x\n 1: a b 0A x\n" {
		t.Errorf("%q", got)
	}
}
