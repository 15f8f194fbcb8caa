package relay

import (
	"net/netip"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/natwarden/natwarden/internal/host"
	"github.com/natwarden/natwarden/internal/lab/labtest"
)

// pythonRelay relays as a person would write it; it sends what comes to a port
// to an address, or to a unix socket.
const pythonRelay = `
import os, socket, sys, threading
def pump(a, b):
    try:
        while True:
            d = a.recv(65536)
            if not d: break
            b.sendall(d)
    finally: b.close()
def one(c, to):
    s = socket.socket(socket.AF_UNIX) if to[0] == '/' else socket.socket()
    s.connect(to if to[0] == '/' else (to, int(sys.argv[3])))
    threading.Thread(target=pump, args=(s, c), daemon=True).start(); pump(c, s)
at = sys.argv[1]
l = socket.socket(socket.AF_UNIX) if at[0] == '/' else socket.socket()
if at[0] != '/':
    l.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1); l.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
l.bind(at if at[0] == '/' else ('', int(at))); l.listen(9)
while True:
    c, _ = l.accept()
    if len(sys.argv) > 4 and sys.argv[4] == 'fork':
        if os.fork() == 0:
            l.close(); one(c, sys.argv[2]); os._exit(0)
        c.close()
    else:
        threading.Thread(target=one, args=(c, sys.argv[2]), daemon=True).start()
`

// pythonEcho answers by itself; pythonClient talks and stays.
const (
	pythonEcho = `
import socket, sys, threading
def serve(c):
    while True:
        d = c.recv(4096)
        if not d: break
        c.sendall(b'answer:' + d)
l = socket.socket(); l.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1); l.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
l.bind((sys.argv[1], int(sys.argv[2]))); l.listen(9)
upstream = socket.create_connection((sys.argv[3], int(sys.argv[4]))) if len(sys.argv) > 3 else None
if upstream: upstream.sendall(b'a query of its own, longer than what its clients say'); upstream.recv(4096)
while True: threading.Thread(target=serve, args=(l.accept()[0],), daemon=True).start()
`
	pythonClient = `
import socket, sys, time
for i in range(int(sys.argv[3])):
    c = socket.create_connection((sys.argv[1], int(sys.argv[2]))); c.sendall(b'hello' * (i + 3)); c.settimeout(2)
    try: print(c.recv(4096))
    except OSError as e: print(e)
    globals()['c%d' % i] = c
open(sys.argv[4], 'w').write('done'); time.sleep(60)
`
)

func (l *live) python(script string, args ...string) *exec.Cmd {
	l.t.Helper()
	return l.start(append([]string{"/usr/bin/python3", "-S", "-c", script}, args...)...)
}

// backend answers on the other machine's address.
func (l *live) backend(port string) {
	l.python(pythonEcho, backendAddr, port)
	l.waitFor(parsePort(port))
}

// talk keeps n connections to a port of the host open.
func (l *live) talk(port string, n string) {
	l.t.Helper()
	done := l.dir + "/done" + port
	l.python(pythonClient, hostAddr, port, n, done)
	l.eventually("the client did not get through", func() bool { _, err := os.Stat(done); return err == nil })
}

func TestRelaysByWhatTheyDo(t *testing.T) {
	for name, more := range map[string][]string{"threads": nil, "children": {"fork"}} {
		t.Run(name, func(t *testing.T) {
			l := newLive(t, "python3")
			l.backend("8080")
			l.python(pythonRelay, append([]string{"80", backendAddr, "8080"}, more...)...)
			l.waitFor(80)
			l.talk("80", "2")
			rows := l.expect(80, "forwarder tcp 80 10.77.2.2:8080 by "+pythonName(t))
			if len(rows) > 0 && (len(rows[0].Evidence) == 0 || !strings.Contains(rows[0].Evidence[0], "same byte counts")) {
				t.Errorf("evidence %q", rows[0].Evidence)
			}
		})
	}
}

func pythonName(t *testing.T) string {
	t.Helper()
	at, err := os.Readlink("/usr/bin/python3")
	if err != nil {
		labtest.Unmet(t, err.Error())
	}
	return programName(at)
}

// A server with a connection of its own (a database) is no relay, however busy.
func TestServersThatOnlyServe(t *testing.T) {
	l := newLive(t, "python3")
	l.backend("8080")
	l.python(pythonEcho, hostAddr, "80", backendAddr, "8080")
	l.waitFor(80)
	l.talk("80", "3")
	l.expect(80, "")
	l.expect(8080, "")
}

// Two processes on one port: only the one that passes on is named.
func TestTheRelayAmongTwoOnOnePort(t *testing.T) {
	l := newLive(t, "python3")
	l.backend("8080")
	honest := l.python(pythonEcho, "", "80")
	l.waitFor(80)
	relay := l.python(pythonRelay, "80", backendAddr, "8080")
	l.eventually("the second never listened", func() bool { return len(l.listeners()) > 2 })
	l.talk("80", "12")
	for _, r := range l.expect(80, "forwarder tcp 80 10.77.2.2:8080 by "+pythonName(t)) {
		if r.Process.PID != relay.Process.Pid || r.Process.PID == honest.Process.Pid || r.Ref == nil || r.Ref.Handle != uint64(relay.Process.Pid) {
			t.Errorf("process %d is named, want %d", r.Process.PID, relay.Process.Pid)
		}
	}
}

func TestChainsOnThisHost(t *testing.T) {
	l := newLive(t, "python3", "socat")
	l.backend("8080")
	l.start("socat", "TCP-LISTEN:9000,bind=127.0.0.1,fork,reuseaddr", "TCP:10.77.2.2:8080")
	l.waitFor(9000)
	l.start("socat", "TCP-LISTEN:80,fork", "TCP:127.0.0.1:9000")
	l.start("socat", "UNIX-LISTEN:DIR/s,fork", "TCP:10.77.2.2:8080")
	l.start("socat", "TCP-LISTEN:81,fork", "UNIX-CONNECT:DIR/s")
	l.start("socat", "ABSTRACT-LISTEN:natwarden-test,fork", "TCP:10.77.2.2:8080")
	l.start("socat", "TCP-LISTEN:82,fork", "ABSTRACT-CONNECT:natwarden-test")
	l.start("socat", "TCP-LISTEN:83,fork", "TCP:127.0.0.1:9999")
	for _, port := range []uint16{80, 81, 82, 83} {
		l.waitFor(port)
	}
	l.expect(9000, "forwarder tcp 9000 10.77.2.2:8080 by socat info")
	l.expect(80, "forwarder tcp 80 10.77.2.2:8080,127.0.0.1:9000 by socat")
	l.expect(81, "forwarder tcp 81 10.77.2.2:8080,unix:"+l.dir+"/s by socat")
	l.expect(82, "forwarder tcp 82 10.77.2.2:8080,unix:@natwarden-test by socat")
	l.expect(83, "forwarder tcp 83 127.0.0.1:9999 by socat info")
}

// A relay that hands on to another process through a unix socket, neither known.
func TestUnknownRelaysThroughAUnixSocket(t *testing.T) {
	l := newLive(t, "python3")
	l.backend("8080")
	l.python(pythonRelay, l.dir+"/s", backendAddr, "8080")
	l.eventually("no socket", func() bool { _, err := os.Stat(l.dir + "/s"); return err == nil })
	l.python(pythonRelay, "80", l.dir+"/s", "0")
	l.waitFor(80)
	l.talk("80", "1")
	l.expect(80, "forwarder tcp 80 10.77.2.2:8080 by "+pythonName(t))
}

func TestNetcatsJoinedByPipes(t *testing.T) {
	for name, script := range map[string]string{
		"listener first": "while :; do nc.openbsd -l -p 80 <f | nc.openbsd -N 10.77.2.2 8080 >f; done",
		"listener last":  "while :; do nc.openbsd 10.77.2.2 8080 <f | nc.openbsd -l -p 80 >f; done",
		"with a tee":     "while :; do nc.openbsd -l -p 80 <f | tee log | nc.openbsd -N 10.77.2.2 8080 >f; done",
	} {
		t.Run(name, func(t *testing.T) {
			l := newLive(t, "nc.openbsd", "python3")
			l.backend("8080")
			if err := syscall.Mkfifo(l.dir+"/f", 0o600); err != nil {
				t.Fatal(err)
			}
			l.start("/bin/bash", "-c", script)
			l.waitFor(80)
			l.expect(80, "forwarder tcp 80 10.77.2.2:8080 by nc.openbsd")
		})
	}
}

// What only takes the output of a server leads nowhere back.
func TestALogPipeIsNoRelay(t *testing.T) {
	l := newLive(t, "nc.openbsd", "python3")
	l.backend("8080")
	l.start("/bin/bash", "-c", "nc.openbsd -k -l -p 80 </dev/null | nc.openbsd 10.77.2.2 8080")
	l.waitFor(80)
	time.Sleep(100 * time.Millisecond)
	l.expect(80, "")
}

// A copy of a relay under another name is known by its build id.
func TestARenamedRelay(t *testing.T) {
	l := newLive(t, "socat")
	at, err := exec.LookPath("socat")
	if err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(at)
	if err != nil {
		t.Fatal(err)
	}
	l.start(l.file("httpd-helper", string(b), 0o755), "TCP-LISTEN:80,fork", "TCP:10.77.2.2:8080")
	l.waitFor(80)
	l.expect(80, "forwarder tcp 80 10.77.2.2:8080 by httpd-helper")
}

// A process may listen here and connect from another network namespace, which
// it has gone to since.
func TestARelayThatWentElsewhere(t *testing.T) {
	here, there := newLive(t, "python3"), newLiveIn(t)
	there.backend("8080")
	anchor := there.start("/bin/sleep", "60")
	script := strings.Replace(pythonRelay, "while True:\n    c, _ = l.accept()", `import ctypes
if ctypes.CDLL(None, use_errno=True).setns(os.open(sys.argv[4], os.O_RDONLY), 0x40000000): raise OSError(ctypes.get_errno())
while True:
    c, _ = l.accept()`, 1)
	here.python(script, "80", backendAddr, "8080", "/proc/"+strconv.Itoa(anchor.Process.Pid)+"/ns/net")
	here.waitFor(80)
	here.talk("80", "2")
	here.expect(80, "forwarder tcp 80 10.77.2.2:8080 by "+pythonName(t))
}

// The two ends of one connection have the same byte counts, and are no relay.
func TestAServerThatIsItsOwnClientPassesNothingOn(t *testing.T) {
	at := func(text string) netip.AddrPort { return netip.MustParseAddrPort(text) }
	near := connection{local: at("127.0.0.1:80"), remote: at("127.0.0.1:4000"), inode: 1, acked: 50, received: 60}
	far := connection{local: near.remote, remote: near.local, inode: 2, acked: 60, received: 50}
	b := &busy{byPID: map[int][]connection{7: {near, far}}, listening: map[uint16]bool{80: true}, kin: kinship{acceptors: map[uint16][]int{80: {7}}}}
	l, p := &host.Listener{Proto: "tcp", Port: 80}, &host.Process{PID: 7}
	if got := b.hops(l, p); len(got) > 0 {
		t.Errorf("it is its own client, and: %+v", got)
	}
	far.remote = at("10.77.2.2:80")
	b.byPID[7][1] = far
	if got := b.hops(l, p); len(got) != 1 {
		t.Errorf("it passes on, and: %+v", got)
	}
	if err := b.uncounted(l, p); err != nil {
		t.Errorf("bytes are counted, and: %v", err)
	}
	far.uncounted = true
	b.byPID[7][1] = far
	if err := b.uncounted(l, p); err == nil || !strings.Contains(err.Error(), "modprobe tcp_diag") {
		t.Errorf("bytes are not counted: %v", err)
	}
}
