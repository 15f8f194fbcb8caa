package relay

import (
	"strings"
	"testing"
	"time"

	"github.com/natwarden/natwarden/internal/host"
)

// udpRelay opens a socket of its own for each client; those stay for a while.
const udpRelay = `
import socket, sys, threading
l = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); l.bind(('0.0.0.0', int(sys.argv[1])))
ways = {}
def back(w, client):
    while True: l.sendto(w.recv(4096), client)
while True:
    d, client = l.recvfrom(4096)
    if client not in ways:
        w = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); w.bind(('10.77.1.1', 0)); w.connect((sys.argv[2], int(sys.argv[3]))); ways[client] = w
        threading.Thread(target=back, args=(w, client), daemon=True).start()
    ways[client].send(d)
`

// udpForks answers each client from a socket that is connected to it, and passes on
// by another, as programs that fork for each client do.
const udpForks = `
import socket, sys, threading
def plain(): 
    s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    s.bind(('0.0.0.0', int(sys.argv[1]))); return s
l = plain(); ways = {}
def back(w, c):
    while True: c.send(w.recv(4096))
while True:
    d, client = l.recvfrom(4096)
    if client in ways: continue
    c = plain(); c.connect(client)
    w = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); w.connect((sys.argv[2], int(sys.argv[3]))); w.send(d); ways[client] = (c, w)
    threading.Thread(target=back, args=(w, c), daemon=True).start()
`

// udpAsks answers by itself, and asks a time server or resolver in its own name
// now and then, whoever comes.
const udpAsks = `
import socket, sys, threading, time
l = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); l.bind(('0.0.0.0', int(sys.argv[1])))
w = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); w.connect((sys.argv[2], int(sys.argv[3])))
def ask():
    while True: w.send(b'time?'); time.sleep(0.1)
threading.Thread(target=ask, daemon=True).start()
while True:
    d, client = l.recvfrom(4096); l.sendto(d, client)
`

const udpEcho = `
import socket, sys
l = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); l.bind((sys.argv[1], int(sys.argv[2])))
while True:
    d, client = l.recvfrom(4096); l.sendto(d, client)
`

// udpVisits comes as another client again and again.
const udpVisits = `
import socket, sys, time
kept = []
while True:
    c = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); c.settimeout(1); kept.append(c)
    c.sendto(b'hello', (sys.argv[1], int(sys.argv[2]))); time.sleep(0.3)
`

const tracking = "table ip x { chain c { type filter hook input priority 0; ct state new accept; }; }"

func TestWatchingUDP(t *testing.T) {
	for name, c := range map[string]struct {
		server  []string
		tracked bool
		want    string
		how     string
	}{
		"a relay, flows are tracked":            {[]string{udpRelay, "5300", backendAddr, "5353"}, true, "forwarder udp 5300 10.77.2.2:5353 by PYTHON unknown", "flows to"},
		"a relay, flows are not seen":           {[]string{udpRelay, "5300", backendAddr, "5353"}, false, "", ""},
		"a relay that forks, flows are not":     {[]string{udpForks, "5300", backendAddr, "5353"}, false, "forwarder udp 5300 10.77.2.2:5353 by PYTHON unknown", "sockets connected to"},
		"a server that asks in its own name":    {[]string{udpAsks, "5300", backendAddr, "5353"}, true, "", ""},
		"a server that asks, flows are not":     {[]string{udpAsks, "5300", backendAddr, "5353"}, false, "", ""},
		"a server that looks up each client":    {[]string{udpRelay, "5300", backendAddr, "53"}, true, "", ""},
		"a server, and nobody else":             {[]string{udpEcho, "0.0.0.0", "5300"}, true, "", ""},
		"a server that has answered for itself": {[]string{udpEcho, hostAddr, "5300"}, false, "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			l := newLive(t, "python3", "nft")
			if c.tracked {
				l.space.MustRun(t, tracking, "nft", "-f", "-")
			}
			l.python(udpEcho, backendAddr, "5353")
			l.python(c.server[0], c.server[1:]...)
			l.python(udpEcho, backendAddr, "53")
			l.waitFor(5353)
			l.waitFor(5300)
			l.python(udpVisits, hostAddr, "5300")
			time.Sleep(200 * time.Millisecond)
			rows := l.watched(5300, c.want)
			if got := lines(rows); got != strings.Replace(c.want, "PYTHON", pythonName(t), 1) {
				t.Errorf("watched\n%s\nwant\n%s", got, c.want)
			}
			for _, r := range rows {
				if !strings.Contains(strings.Join(append(r.Evidence, r.Why...), "\n"), c.how) || r.State != host.Unknown {
					t.Errorf("%s: %q %q", r.State, r.Evidence, r.Why)
				}
			}
		})
	}
}

// Who asks others in his own name is known by the host's own file, not by a name.
func TestWhoAsksInItsOwnName(t *testing.T) {
	for _, c := range []struct {
		process host.Process
		want    bool
	}{
		{host.Process{Exe: "/usr/sbin/chronyd", HostExe: true}, true},
		{host.Process{Exe: "/usr/sbin/unbound", HostExe: true}, true},
		{host.Process{Exe: "/lib/systemd/systemd-resolved", HostExe: true}, true},
		{host.Process{Exe: "/usr/sbin/dnsmasq"}, false},
		{host.Process{Name: "dnsmasq", Exe: "/tmp/relay", HostExe: true}, false},
	} {
		if got := answersItself(&c.process); got != c.want {
			t.Errorf("%+v: %v", c.process, got)
		}
	}
}
