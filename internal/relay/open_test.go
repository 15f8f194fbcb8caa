package relay

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

const secret = "S3CR3T-do-not-quote"

// hostileFolder holds what a process may name as its configuration.
func hostileFolder(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	at := func(name string) string { return filepath.Join(dir, name) }
	if err := os.Mkdir(at("private"), 0o700); err != nil {
		t.Fatal(err)
	}
	write := func(name, text string, mode os.FileMode) {
		if err := os.WriteFile(at(name), []byte(text), mode); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(at(name), mode); err != nil {
			t.Fatal(err)
		}
	}
	write("good", "0.0.0.0 80 10.0.0.1 8080\n", 0o644)
	write("secret", secret, 0o600)
	write("private/open", "text", 0o644)
	write("large", strings.Repeat("x", maxConfig+1), 0o644)
	write("full", strings.Repeat("x", maxConfig), 0o644)
	if err := unix.Mkfifo(at("fifo"), 0o644); err != nil {
		t.Fatal(err)
	}
	for name, where := range map[string]string{"link": "good", "loop": "loop", "tofifo": "fifo", "toself": "/proc/self/fd/0", "up": "../../../../../../../../etc/hostname"} {
		if err := os.Symlink(where, at(name)); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func TestOnlyPlainFilesAreRead(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root to be another user's reader")
	}
	dir := hostileFolder(t)
	for at := dir; strings.HasPrefix(at, os.TempDir()+"/"); at = filepath.Dir(at) {
		if err := os.Chmod(at, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	cases := map[string]error{
		"good": nil, "link": nil, "full": nil, "large": errTooLarge, "secret": errForbidden, "private/open": errForbidden, "private": errNotRegular, "fifo": errNotRegular, "tofifo": errNotRegular, "loop": unix.ELOOP,
		"toself": unix.ELOOP, "none": unix.ENOENT, "": errNotRegular, ".": errNotRegular, "/dev/zero": errNotRegular, "/dev/null": errNotRegular, "/dev/watchdog": errNotRegular,
		"/etc/shadow": errForbidden, "/proc/self/mem": errForbidden, "/proc/1/environ": errForbidden, "/dev/tty": errNotRegular, "good\x00x": unix.EINVAL,
	}
	for name, want := range cases {
		p := &program{pid: os.Getpid(), cwd: dir, uid: 65534, gids: []uint32{65534}}
		began := time.Now()
		b, err := p.readFile(name)
		missing := errors.Is(err, unix.ENOENT) && strings.HasPrefix(name, "/") // not every machine has them all
		switch {
		case want == nil && (err != nil || len(b) == 0):
			t.Errorf("%q: %v", name, err)
		case want != nil && err == nil:
			t.Errorf("%q was read", name)
		case want != nil && !errors.Is(err, want) && !missing && !(strings.HasPrefix(name, "/proc") && err != nil):
			t.Errorf("%q: %v, want %v", name, err, want)
		case err != nil && strings.Contains(err.Error(), secret):
			t.Errorf("%q is quoted: %v", name, err)
		}
		if took := time.Since(began); took > time.Second {
			t.Errorf("%q took %v", name, took)
		}
	}
}

// What cannot be read is said without a word of what it holds.
func TestNothingIsQuoted(t *testing.T) {
	dir := hostileFolder(t)
	for _, name := range []string{"haproxy", "nginx", "rinetd", "redsocks", "squid", "xinetd", "hitch", "pound"} {
		p := &program{pid: os.Getpid(), name: name, cwd: dir, args: []string{name, "-f", "secret", "-c", "secret", "--config=secret"}}
		hops, err := known(p)(p)
		if text := wayText(hops); strings.Contains(text, secret) || err != nil && strings.Contains(err.Error(), secret) {
			t.Errorf("%s quotes: %s %v", name, text, err)
		}
	}
}

// A process in a root of its own: links lead nowhere else, and what was read
// before it went there is found below the first root.
func TestFilesOfAChangedRoot(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root to change the root")
	}
	dir := hostileFolder(t)
	jail := filepath.Join(dir, "jail")
	if err := os.MkdirAll(filepath.Join(jail, "etc"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(jail, "etc/own"), []byte("inside"), 0o644); err != nil {
		t.Fatal(err)
	}
	for name, where := range map[string]string{"out": "/../../../etc/own", "dots": "../../../../../../etc/own"} {
		if err := os.Symlink(where, filepath.Join(jail, name)); err != nil {
			t.Fatal(err)
		}
	}
	p := &program{pid: jailed(t, jail), cwd: "/"}
	for name, want := range map[string]string{"/etc/own": "inside", "out": "inside", "dots": "inside", "../../etc/own": "inside", filepath.Join(dir, "good"): "0.0.0.0 80 10.0.0.1 8080\n"} {
		if b, err := p.readFile(name); err != nil || string(b) != want {
			t.Errorf("%s: read %q, %v", name, b, err)
		}
	}
}

// jailed starts a process whose root is the folder, and ends it with the test.
func jailed(t *testing.T, root string) int {
	t.Helper()
	ctx, stop := context.WithTimeout(context.Background(), time.Minute)
	cmd := exec.CommandContext(ctx, os.Args[0], "-test.run", "TestHelperSleeps")
	cmd.Env = []string{"RELAY_HELPER=" + root}
	out, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { stop(); _ = cmd.Wait() })
	said := make([]byte, 5)
	if n, _ := out.Read(said); string(said[:n]) != "ready" {
		t.Fatalf("the helper said %q", said[:n])
	}
	return cmd.Process.Pid
}

func TestHelperSleeps(t *testing.T) {
	root := os.Getenv("RELAY_HELPER")
	if root == "" {
		t.Skip("runs only as a helper")
	}
	if err := unix.Chroot(root); err != nil {
		t.Fatal(err)
	}
	os.Stdout.WriteString("ready")
	time.Sleep(time.Minute)
}

func TestGlob(t *testing.T) {
	p := fake(t, "x", map[string]string{"a/1.conf": "", "b/2.conf": "", "b/.3.conf": "", "b/4.txt": "", "[x].conf": ""})
	for pattern, want := range map[string]string{"*/*.conf": "a/1.conf b/2.conf", "b/*": "b/2.conf b/4.txt", "none/*": "", "a/1.conf/*": "", "a/?.conf": "a/1.conf", "plain": "plain", "[ab]/*.conf": "a/1.conf b/2.conf", "b/.*.conf": "b/.3.conf"} {
		got, err := p.glob(pattern)
		if err != nil || strings.Join(got, " ") != want {
			t.Errorf("%s gave %q, %v", pattern, got, err)
		}
	}
	got, err := p.glob(p.cwd + "/*/*.conf")
	if err != nil || len(got) != 2 || !strings.HasPrefix(got[0], p.cwd) {
		t.Errorf("gave %q, %v", got, err)
	}
}
