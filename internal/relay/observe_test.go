package relay

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/natwarden/natwarden/internal/host"
)

// rewriting is a proxy that changes what it passes on, so that no counts
// match; it opens one connection for each that it accepts.
const rewriting = `
import socket, sys, threading
def one(c):
    s = socket.create_connection((sys.argv[2], int(sys.argv[3])))
    while True:
        d = c.recv(4096)
        if not d: break
        s.sendall(b'X-Forwarded-For: somebody; ' + d); c.sendall(s.recv(4096) + b' -- seen by a proxy')
l = socket.socket(); l.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
l.bind(('', int(sys.argv[1]))); l.listen(9)
while True: threading.Thread(target=one, args=(l.accept()[0],), daemon=True).start()
`

// pythonVisits comes again and again, and leaves after a while.
const pythonVisits = `
import socket, sys, time
while True:
    c = socket.create_connection((sys.argv[1], int(sys.argv[2]))); c.sendall(b'hello'); c.recv(4096); time.sleep(0.4); c.close()
`

func (l *live) watch(port uint16, d time.Duration) []host.Redirect {
	l.t.Helper()
	s := &host.Space{Listeners: l.listeners(), Addrs: []string{"127.0.0.1", "::1", hostAddr}}
	l.space.MustDo(l.t, func(ctx context.Context) error {
		_, err := Source{Observe: d}.Read(ctx, s)
		return err
	})
	var out []host.Redirect
	for _, r := range s.Redirects {
		if r.Ports == decimal(port) {
			out = append(out, r)
		}
	}
	return out
}

// watched watches a port for three seconds, and longer where a row is to come and
// does not: on a busy machine too few visitors may come in that time.
func (l *live) watched(port uint16, want string) []host.Redirect {
	l.t.Helper()
	rows := l.watch(port, 3*time.Second)
	for d := 6 * time.Second; want != "" && len(rows) == 0 && d <= 24*time.Second; d *= 2 {
		rows = l.watch(port, d)
	}
	return rows
}

func TestWatching(t *testing.T) {
	for name, c := range map[string]struct {
		server []string
		want   string
	}{
		"a proxy that rewrites":   {[]string{rewriting, "80", backendAddr, "8080"}, "forwarder tcp 80 10.77.2.2:8080 by PYTHON unknown"},
		"a relay between looks":   {[]string{pythonRelay, "80", backendAddr, "8080"}, "forwarder tcp 80 10.77.2.2:8080 by PYTHON"},
		"a server with its store": {[]string{pythonEcho, hostAddr, "80", backendAddr, "8080"}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			l := newLive(t, "python3")
			l.backend("8080")
			l.python(c.server[0], c.server[1:]...)
			l.waitFor(80)
			l.python(pythonVisits, hostAddr, "80")
			rows := l.watched(80, c.want)
			if got := lines(rows); got != strings.Replace(c.want, "PYTHON", pythonName(t), 1) {
				t.Errorf("watched\n%s\nwant\n%s", got, c.want)
			}
			for _, r := range rows {
				if len(r.Evidence) == 0 || len(r.Why) == 0 {
					t.Errorf("no evidence: %+v", r)
				}
			}
		})
	}
}

// Watching ends with its time, and at once with its context.
func TestWatchingEnds(t *testing.T) {
	l := newLive(t, "python3")
	l.backend("8080")
	s := &host.Space{Listeners: l.listeners()}
	began := time.Now()
	_ = l.space.Do(context.Background(), func(ctx context.Context) error {
		ctx, stop := context.WithTimeout(ctx, 300*time.Millisecond)
		defer stop()
		if _, err := (Source{Observe: time.Minute}).Read(ctx, s); err == nil {
			t.Error("no error although the context had ended")
		}
		return nil
	})
	if took := time.Since(began); took > 5*time.Second {
		t.Errorf("it took %v", took)
	}
}
