package proc

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/natwarden/natwarden/internal/host"
	"github.com/natwarden/natwarden/internal/lab/labtest"
	"github.com/natwarden/natwarden/internal/sock"
)

// listenEnv makes this test binary a server: it listens on so many ports from
// the first one on, says "ready" and waits until its input ends. Its
// arguments mean nothing.
const listenEnv = "NATWARDEN_TEST_LISTEN"

func TestMain(m *testing.M) {
	if spec := os.Getenv(listenEnv); spec != "" {
		os.Exit(serve(spec))
	}
	os.Exit(m.Run())
}

func serve(spec string) int {
	var first, count int
	if _, err := fmt.Sscanf(spec, "%d+%d", &first, &count); err != nil {
		fmt.Println(err)
		return 1
	}
	for port := first; port < first+count; port++ {
		if err := listen(port); err != nil {
			fmt.Println(err)
			return 1
		}
	}
	fmt.Println("ready")
	_, _ = io.Copy(io.Discard, os.Stdin)
	return 0
}

// listen leaves a socket behind that several processes may share.
func listen(port int) error {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_REUSEPORT, 1); err != nil {
		return err
	}
	if err := unix.Bind(fd, &unix.SockaddrInet4{Port: port}); err != nil {
		return err
	}
	return unix.Listen(fd, 5)
}

// server is how to start this test binary as a server.
type server struct {
	exe         string // "" for the test binary itself
	args        []string
	port, count int
	files       []*os.File
}

// start runs the server in the space until the test ends, and gives its pid.
func (s server) start(t testing.TB, space labtest.Space) int {
	t.Helper()
	exe := s.exe
	if exe == "" {
		exe = testBinary(t)
	}
	cmd := exec.Command(exe)
	cmd.Args = append(cmd.Args[:1], s.args...)
	cmd.Env = []string{
		listenEnv + "=" + strconv.Itoa(s.port) + "+" + strconv.Itoa(s.count),
		"GORACE=atexit_sleep_ms=0", // a second for each server, else
	}
	cmd.ExtraFiles = s.files
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	space.MustDo(t, func(context.Context) error { return cmd.Start() })
	t.Cleanup(func() {
		in.Close()
		_ = cmd.Wait()
	})
	said := make([]byte, 100)
	if n, _ := out.Read(said); !strings.HasPrefix(string(said[:n]), "ready") {
		t.Fatalf("the server said %q", said[:n])
	}
	return cmd.Process.Pid
}

func testBinary(t testing.TB) string {
	t.Helper()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	return exe
}

// copyOf is the test binary under another name.
func copyOf(t testing.TB, name string) string {
	t.Helper()
	b, err := os.ReadFile(testBinary(t))
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, b, 0o755); err != nil {
		t.Fatal(err)
	}
	return path
}

// linkOf is the test binary under another name, without the time that a copy takes.
func linkOf(t testing.TB, name string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.Link(testBinary(t), path); err != nil {
		return copyOf(t, name) // another file system
	}
	return path
}

// readSpace reads and attaches the listeners of a space.
func readSpace(t testing.TB, space labtest.Space) []host.Listener {
	t.Helper()
	s := &host.Space{Netns: "lab"}
	space.MustDo(t, func(ctx context.Context) (err error) {
		s.Listeners, _, err = sock.Read(ctx)
		return err
	})
	blind, err := Attach(context.Background(), []*host.Space{s}, nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, b := range blind {
		t.Logf("blind: %+v", b)
	}
	return s.Listeners
}

func pidsOf(l host.Listener) []int {
	var out []int
	for _, p := range l.Processes {
		out = append(out, p.PID)
	}
	return out
}

// heldByTest opens a listening socket in the space, held by the test itself.
func heldByTest(t testing.TB, space labtest.Space) *os.File {
	t.Helper()
	var f *os.File
	space.MustDo(t, func(context.Context) error {
		fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
		if err != nil {
			return err
		}
		f = os.NewFile(uintptr(fd), "listener")
		if err := unix.Bind(fd, &unix.SockaddrInet4{Port: 443}); err != nil {
			return err
		}
		return unix.Listen(fd, 5)
	})
	t.Cleanup(func() { f.Close() })
	return f
}
