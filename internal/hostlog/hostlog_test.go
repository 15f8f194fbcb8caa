package hostlog

import (
	"context"
	"net"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func listen(t *testing.T) (*net.UnixConn, string) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "socket")
	c, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c, path
}

func TestJournald(t *testing.T) {
	c, path := listen(t)
	err := Send(context.Background(), path, "one\ntwo", map[string]string{"NATWARDEN_CHANGE": "x", "NATWARDEN_HASH": "abc"})
	if err != nil {
		t.Fatal(err)
	}
	buf := make([]byte, 4096)
	if err := c.SetReadDeadline(time.Now().Add(5 * time.Second)); err != nil {
		t.Fatal(err)
	}
	n, err := c.Read(buf)
	if err != nil {
		t.Fatal(err)
	}
	want := "MESSAGE\n\x07\x00\x00\x00\x00\x00\x00\x00one\ntwo\nNATWARDEN_CHANGE=x\nNATWARDEN_HASH=abc\nPRIORITY=5\nSYSLOG_IDENTIFIER=natwarden\n"
	if got := string(buf[:n]); got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestNobodyListensIsNoError(t *testing.T) {
	if listens("/dev/log") || listens("/var/run/syslog") || listens("/var/run/log") {
		t.Skip("a syslog listens here, and is not to be told of tests")
	}
	if err := Send(context.Background(), filepath.Join(t.TempDir(), "none"), "text", nil); err != nil {
		t.Error(err)
	}
	c, path := listen(t)
	c.Close()
	if err := Send(context.Background(), path, "text", nil); err != nil {
		t.Errorf("a socket that journald left behind: %v", err)
	}
}

// A journald that takes nothing any more does not hold a change up.
func TestPatienceEnds(t *testing.T) {
	c, path := listen(t)
	if err := c.SetReadBuffer(1); err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithTimeout(context.Background(), 200*time.Millisecond)
	defer stop()
	began := time.Now()
	var err error
	for err == nil && time.Since(began) < 5*time.Second {
		err = Send(ctx, path, strings.Repeat("x", 1<<10), nil)
	}
	if err == nil || time.Since(began) > 4*time.Second {
		t.Errorf("after %s: %v", time.Since(began), err)
	}
}
