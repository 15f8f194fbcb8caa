package relay

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/natwarden/natwarden/internal/host"
	"github.com/natwarden/natwarden/internal/lab/labtest"
	"github.com/natwarden/natwarden/internal/proc"
	"github.com/natwarden/natwarden/internal/sock"
)

// The lab is one namespace: 10.77.1.1 is the host's, 10.77.2.2 stands for
// another machine, since Addrs below does not name it.
const (
	hostAddr    = "10.77.1.1"
	backendAddr = "10.77.2.2"
)

// live is a lab in which real programs run.
type live struct {
	t     *testing.T
	space labtest.Space
	dir   string
}

func newLive(t *testing.T, needs ...string) *live {
	t.Helper()
	t.Parallel() // they wait more than they work
	return newLiveIn(t, needs...)
}

// newLiveIn makes one more lab for a test.
func newLiveIn(t *testing.T, needs ...string) *live {
	t.Helper()
	labtest.Partners(t, needs...)
	l := &live{t, labtest.New(t, "ip"), t.TempDir()}
	for _, line := range []string{"link set lo up", "addr add " + hostAddr + "/32 dev lo", "addr add " + backendAddr + "/32 dev lo", "addr add fd77::2/128 dev lo"} {
		l.space.MustRun(t, "", append([]string{"ip"}, strings.Fields(line)...)...)
	}
	for dir := l.dir; strings.HasPrefix(dir, os.TempDir()+"/"); dir = filepath.Dir(dir) {
		if err := os.Chmod(dir, 0o755); err != nil { // programs that leave root behind
			t.Fatal(err)
		}
	}
	return l
}

// file writes a file of the lab's folder; DIR in it is that folder.
func (l *live) file(name, text string, mode os.FileMode) string {
	l.t.Helper()
	at := filepath.Join(l.dir, name)
	if err := os.MkdirAll(filepath.Dir(at), 0o755); err != nil {
		l.t.Fatal(err)
	}
	if err := os.WriteFile(at, []byte(strings.ReplaceAll(text, "DIR", l.dir)), mode); err != nil {
		l.t.Fatal(err)
	}
	return at
}

// start runs a program in the namespace, in a group of its own that ends with
// the test.
func (l *live) start(argv ...string) *exec.Cmd {
	l.t.Helper()
	for i := range argv {
		argv[i] = strings.ReplaceAll(argv[i], "DIR", l.dir)
	}
	cmd := exec.Command(argv[0], argv[1:]...)
	log, err := os.Create(filepath.Join(l.t.TempDir(), "log"))
	if err != nil {
		l.t.Fatal(err)
	}
	cmd.Stdout, cmd.Stderr, cmd.Dir = log, log, l.dir
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	l.space.MustDo(l.t, func(context.Context) error { return cmd.Start() })
	ended := make(chan struct{})
	go func() { _ = cmd.Wait(); close(ended) }()
	l.t.Cleanup(func() {
		_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGTERM)
		select {
		case <-ended:
		case <-time.After(time.Second):
		}
		_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
		<-ended
		if b, err := os.ReadFile(log.Name()); err == nil && l.t.Failed() {
			l.t.Logf("%s: %s", argv[0], b)
		}
		log.Close()
	})
	return cmd
}

func (l *live) listeners() []host.Listener {
	l.t.Helper()
	s := &host.Space{}
	l.space.MustDo(l.t, func(ctx context.Context) (err error) {
		s.Listeners, _, err = sock.Read(ctx)
		return err
	})
	if _, err := proc.Attach(context.Background(), []*host.Space{s}, nil); err != nil {
		l.t.Fatal(err)
	}
	return s.Listeners
}

// waitFor waits until something listens on the port.
func (l *live) waitFor(port uint16) {
	l.t.Helper()
	l.eventually(fmt.Sprintf("nothing listens on port %d", port), func() bool {
		return slices.ContainsFunc(l.listeners(), func(s host.Listener) bool { return s.Port == port && len(s.Processes) > 0 })
	})
}

func (l *live) eventually(what string, is func() bool) {
	l.t.Helper()
	for until := time.Now().Add(time.Minute); time.Now().Before(until); time.Sleep(30 * time.Millisecond) {
		if is() {
			return
		}
	}
	l.t.Fatal(what)
}

// read gives the rows of a port, each as a line, and the blind spots.
func (l *live) read(port uint16) ([]host.Redirect, []host.Blind) {
	l.t.Helper()
	s := &host.Space{Listeners: l.listeners(), Addrs: []string{"127.0.0.1", "::1", hostAddr}}
	var reading host.Reading
	l.space.MustDo(l.t, func(ctx context.Context) (err error) {
		reading, err = Source{}.Read(ctx, s)
		return err
	})
	return slices.DeleteFunc(s.Redirects, func(r host.Redirect) bool { return r.Ports != decimal(port) }), reading.Blind
}

func line(r host.Redirect) string {
	text := fmt.Sprintf("%s %s %s %s by %s", r.Kind, r.Proto, r.Ports, strings.Join(r.To, ","), programName(r.Process.Exe))
	if r.State != host.Active {
		text += " " + r.State
	}
	if r.Info {
		text += " info"
	}
	return text
}

func lines(rows []host.Redirect) string {
	var out []string
	for _, r := range rows {
		out = append(out, line(r))
	}
	slices.Sort(out)
	return strings.Join(slices.Compact(out), "\n")
}

// expect waits until the rows of the port are the wanted ones.
func (l *live) expect(port uint16, want string) []host.Redirect {
	l.t.Helper()
	var rows []host.Redirect
	var blind []host.Blind
	for until := time.Now().Add(3 * time.Second); ; time.Sleep(100 * time.Millisecond) {
		rows, blind = l.read(port)
		if lines(rows) == want {
			return rows
		}
		if time.Now().After(until) {
			l.t.Errorf("port %d is\n%s\nwant\n%s\nblind %v", port, lines(rows), want, blind)
			for _, r := range rows {
				l.t.Logf("%q", r.Evidence)
			}
			return rows
		}
	}
}

// Real programs, as a person would start them.
func TestRealRelays(t *testing.T) {
	for name, c := range map[string]struct {
		argv  string
		files map[string]string
		port  uint16
		want  string
	}{
		"socat":                         {"socat tcp-l:80,fork,reuseaddr tcp:10.77.2.2:8080", nil, 80, "forwarder tcp 80 10.77.2.2:8080 by socat"},
		"socat on loopback":             {"socat TCP-LISTEN:80,bind=127.0.0.1,fork TCP:10.77.2.2:8080", nil, 80, "forwarder tcp 80 10.77.2.2:8080 by socat info"},
		"socat to a script on loopback": {"socat TCP-LISTEN:80,bind=127.0.0.1,fork EXEC:/opt/x", nil, 80, "forwarder tcp 80  by socat info"},
		"socat to itself":               {"socat TCP-LISTEN:80,fork TCP:10.77.1.1:8080", nil, 80, "forwarder tcp 80 10.77.1.1:8080 by socat info"},
		"socat over IPv6":               {"socat TCP6-LISTEN:80,fork,ipv6only=1 TCP6:[fd77::2]:8080", nil, 80, "forwarder tcp 80 [fd77::2]:8080 by socat"},
		"socat over UDP":                {"socat udp-recvfrom:53,fork udp:10.77.2.2:53", nil, 53, "forwarder udp 53 10.77.2.2:53 by socat"},
		"socat with a shell":            {"socat TCP-LISTEN:80,fork SYSTEM:nc 10.77.2.2 8080", nil, 80, "forwarder tcp 80 10.77.2.2:8080 by socat"},
		"socat that echoes":             {"socat TCP-LISTEN:80,fork EXEC:/bin/cat", nil, 80, ""},
		"socat to a script":             {"socat TCP-LISTEN:80,fork EXEC:/opt/x", nil, 80, "forwarder tcp 80  by socat unknown"},
		"haproxy": {"haproxy -db -f h.cfg -f more", map[string]string{"h.cfg": "defaults\n mode tcp\n timeout connect 2s\n timeout client 2s\n timeout server 2s\nfrontend f\n bind :80-81\n use_backend b if TRUE\n",
			"more/b.cfg": "backend b\n server x 10.77.2.2:8080\n"}, 81, "proxy tcp 81 10.77.2.2:8080 by haproxy"},
		"haproxy in a jail": {"haproxy -db -f h.cfg", map[string]string{"jail/x": "", "h.cfg": "global\n chroot DIR/jail\n user nobody\ndefaults\n mode tcp\n timeout connect 2s\n timeout client 2s\n timeout server 2s\nlisten f\n bind :80\n server x 10.77.2.2:8080\n"},
			80, "proxy tcp 80 10.77.2.2:8080 by haproxy"},
		"haproxy's statistics": {"haproxy -db -f h.cfg", map[string]string{"h.cfg": "defaults\n mode http\n timeout connect 2s\n timeout client 2s\n timeout server 2s\nfrontend s\n bind :80\n stats enable\n"}, 80, ""},
		"nginx": {"nginx -c n.conf -p DIR", map[string]string{"n.conf": "daemon off; pid DIR/pid; error_log DIR/err; events {} http { access_log off; client_body_temp_path DIR/a; proxy_temp_path DIR/b; fastcgi_temp_path DIR/c; uwsgi_temp_path DIR/d; scgi_temp_path DIR/e; include sites/*; }",
			"sites/x": "upstream u { server 10.77.2.2:8080; } server { listen 80; location / { proxy_pass http://u; } }"}, 80, "proxy tcp 80 10.77.2.2:8080 by nginx"},
		"nginx that serves": {"nginx -c n.conf -p DIR", map[string]string{"n.conf": "daemon off; pid DIR/pid; error_log DIR/err; events {} http { access_log off; client_body_temp_path DIR/a; proxy_temp_path DIR/b; fastcgi_temp_path DIR/c; uwsgi_temp_path DIR/d; scgi_temp_path DIR/e; server { listen 80; root DIR; } }"},
			80, ""},
		"rinetd":                  {"rinetd -f -c DIR/r.conf", map[string]string{"r.conf": "0.0.0.0 80 10.77.2.2 8080\n"}, 80, "forwarder tcp 80 10.77.2.2:8080 by rinetd"},
		"redsocks":                {"redsocks -c DIR/r.conf", map[string]string{"r.conf": "base { log = stderr; daemon = off; redirector = iptables; }\nredsocks { local_ip = 0.0.0.0; local_port = 12345; ip = 10.77.2.2; port = 1080; type = socks5; }\n"}, 12345, "proxy tcp 12345 10.77.2.2:1080 by redsocks info"},
		"xinetd":                  {"xinetd -dontfork -f DIR/x.conf -pidfile DIR/pid", map[string]string{"x.conf": "defaults\n{\n}\nservice relay\n{\n type = UNLISTED\n port = 80\n socket_type = stream\n protocol = tcp\n wait = no\n user = root\n redirect = 10.77.2.2 8080\n}\n"}, 80, "forwarder tcp 80 10.77.2.2:8080 by xinetd"},
		"sslh":                    {"sslh -f -p 0.0.0.0:80 --ssh 127.0.0.1:22 --tls 10.77.2.2:443", nil, 80, "proxy tcp 80 10.77.2.2:443,127.0.0.1:22 by sslh"},
		"ncat":                    {"ncat -k -l 80 --sh-exec \"ncat 10.77.2.2 8080\"", nil, 80, "forwarder tcp 80 10.77.2.2:8080 by ncat"},
		"ncat as a proxy":         {"ncat -k -l 80 --proxy-type http", nil, 80, "proxy tcp 80  by ncat"},
		"systemd-socket-activate": {"systemd-socket-activate -l 80 /lib/systemd/systemd-socket-proxyd 10.77.2.2:8080", nil, 80, "forwarder tcp 80 10.77.2.2:8080 by systemd-socket-activate"},
		"docker-proxy":            {"sh -c \"exec 3>/dev/null; exec docker-proxy -proto tcp -host-ip 0.0.0.0 -host-port 80 -container-ip 10.77.2.2 -container-port 8080\"", nil, 80, "forwarder tcp 80 10.77.2.2:8080 by docker-proxy"},
		"a python web server":     {"python3 -m http.server 80", nil, 80, ""},
		"stunnel":                 {"sh -c \"openssl req -x509 -newkey rsa:2048 -nodes -subj /CN=x -keyout k.pem -out c.pem 2>/dev/null && exec stunnel4 DIR/s.conf\"", map[string]string{"s.conf": "foreground=yes\npid=\n[x]\naccept=443\nconnect=10.77.2.2:8080\ncert=DIR/c.pem\nkey=DIR/k.pem\n"}, 443, "proxy tcp 443 10.77.2.2:8080 by stunnel4"},
		"squid":                   {"squid -N -f DIR/q.conf", map[string]string{"q.conf": "http_port 3128\ncache_log DIR/log/c\naccess_log none\npid_filename DIR/log/pid\ncoredump_dir DIR/log\nvisible_hostname x\nshutdown_lifetime 0 seconds\n", "log/x": ""}, 3128, "proxy tcp 3128  by squid"},
	} {
		t.Run(name, func(t *testing.T) {
			argv := shellWords(c.argv)
			l := newLive(t, argv[0])
			for _, inner := range []string{"docker-proxy", "stunnel4"} {
				if strings.Contains(c.argv, inner+" ") {
					labtest.Partners(t, inner)
				}
			}
			for file, text := range c.files {
				l.file(file, text, 0o644)
			}
			if argv[0] == "squid" {
				if err := os.Chmod(filepath.Join(l.dir, "log"), 0o777); err != nil {
					t.Fatal(err)
				}
			}
			if argv[0] == "socat" { // addresses hold blanks
				argv = append(strings.SplitN(c.argv, " ", 3), []string{}...)
			}
			l.start(argv...)
			l.waitFor(c.port)
			l.expect(c.port, c.want)
		})
	}
}

// A configuration that was made harmless after the start proves nothing.
func TestAConfigurationThatChangedLater(t *testing.T) {
	l := newLive(t, "haproxy")
	serving := "defaults\n mode http\n timeout connect 2s\n timeout client 2s\n timeout server 2s\nfrontend s\n bind :80\n stats enable\n"
	l.file("h.cfg", serving, 0o644)
	l.start("haproxy", "-db", "-f", "h.cfg")
	l.waitFor(80)
	if _, blind := l.read(80); len(blind) != 0 {
		t.Errorf("blind before: %v", blind)
	}
	time.Sleep(startSlack + 1100*time.Millisecond)
	l.file("h.cfg", serving+"# changed\n", 0o644)
	if rows, blind := l.read(80); len(blind) != 1 || !strings.Contains(blind[0].Why, "changed after") || len(rows) != 0 {
		t.Errorf("rows %s, blind %v", lines(rows), blind)
	}
}
