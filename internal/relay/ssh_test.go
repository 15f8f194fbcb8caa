package relay

import (
	"context"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"
)

// sshServer starts an sshd of its own on the other machine's address.
func (l *live) sshServer() {
	l.t.Helper()
	if _, err := os.Stat("/run/sshd"); err != nil {
		if err := os.MkdirAll("/run/sshd", 0o755); err != nil {
			l.t.Fatal(err)
		}
	}
	for _, key := range []string{"hk", "uk"} {
		if out, err := exec.Command("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", l.dir+"/"+key).CombinedOutput(); err != nil {
			l.t.Fatalf("ssh-keygen: %s", out)
		}
	}
	l.start("/usr/sbin/sshd", "-D", "-e", "-p", "2222", "-f", "/dev/null", "-h", "DIR/hk", "-o", "ListenAddress="+backendAddr, "-o", "AuthorizedKeysFile=DIR/uk.pub",
		"-o", "GatewayPorts=clientspecified", "-o", "AllowTcpForwarding=yes", "-o", "PermitRootLogin=yes", "-o", "StrictModes=no", "-o", "UsePAM=no", "-o", "PidFile=none")
	l.waitFor(2222)
}

// ssh starts a client with the options that every one here needs.
func (l *live) ssh(args ...string) {
	l.t.Helper()
	common := []string{"ssh", "-N", "-o", "BatchMode=yes", "-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null", "-o", "ExitOnForwardFailure=yes", "-o", "LogLevel=ERROR", "-i", "DIR/uk", "-p", "2222"}
	l.start(append(common, args...)...)
}

func TestTunnelsOfSSH(t *testing.T) {
	l := newLive(t, "ssh", "sshd", "ssh-keygen")
	l.sshServer()
	l.file("config", "Host far\n HostName "+backendAddr+"\n User root\n GatewayPorts yes\n LocalForward 82 127.0.0.1:8080\n", 0o600)
	l.ssh("-F", "/dev/null", "-g", "-L", "80:127.0.0.1:8080", "root@"+backendAddr)
	l.ssh("-F", "/dev/null", "-D", "0.0.0.0:81", "root@"+backendAddr)
	l.ssh("-F", "DIR/config", "far")
	l.ssh("-F", "/dev/null", "-L", "83:127.0.0.1:8080", "root@"+backendAddr)
	l.ssh("-F", "/dev/null", "-b", hostAddr, "-R", "0.0.0.0:84:127.0.0.1:22", "root@"+backendAddr)
	l.ssh("-F", "/dev/null", "-g", "-L", "85:127.0.0.1:8080", "-o", "ProxyCommand=nc 10.77.2.2 2222", "root@elsewhere")
	for port := uint16(80); port < 86; port++ {
		l.waitFor(port)
	}
	far := "10.77.2.2:2222 by ssh"
	l.expect(80, "tunnel tcp 80 "+far)
	l.expect(81, "tunnel tcp 81 "+far)
	l.expect(82, "tunnel tcp 82 "+far)
	l.expect(83, "tunnel tcp 83 "+far+" info")
	l.expect(84, "tunnel tcp 84 10.77.1.1 by sshd info") // its client is this host here
	l.expect(85, "tunnel tcp 85 "+far)
	l.expect(2222, "")
}

// systemd holds the sockets of its units; what they start tells where they lead.
func TestSocketUnits(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root to change the root")
	}
	l := fake(t, "systemd", map[string]string{
		"etc/systemd/system/web.socket":           "[Socket]\nListenStream=80\nListenStream=[::1]:81\n",
		"usr/lib/systemd/system/web.socket":       "[Socket]\nListenStream=9\n",
		"usr/lib/systemd/system/web.service":      "[Service]\nExecStart=/bin/true\n",
		"etc/systemd/system/web.service.d/x.conf": "[Service]\nExecStart=\nExecStart=-/usr/lib/systemd/systemd-socket-proxyd --exit-idle-time=5 10.0.0.1:8080\n",
		"lib/systemd/system/nc.socket":            "[Socket]\nAccept=yes\nListenStream=82\n",
		"lib/systemd/system/nc@.service":          "[Service]\nExecStart=/bin/sh -c \"exec nc 10.0.0.2 82\"\n",
		"run/systemd/system/ssh.socket":           "[Socket]\nListenStream=22\n",
		"run/systemd/system/ssh.service":          "[Service]\nExecStart=/usr/sbin/sshd -D\n",
		"etc/systemd/system/dns.socket":           "[Socket]\nListenDatagram=53\nService=pass@10.0.0.3:53.service\n",
		"etc/systemd/system/pass@.service":        "[Service]\nExecStart=/lib/systemd/systemd-socket-proxyd %i\n",
		"etc/systemd/system/unix.socket":          "[Socket]\nListenStream=/run/x.sock\nService=web.service\n",
	})
	l.pid, l.cwd = jailed(t, l.cwd), "/"
	hops, err := readSystemd(l)
	want := `udp :53 10.0.0.3:53
tcp /run/x.sock 10.0.0.1:8080
tcp :80 10.0.0.1:8080
tcp ::1:81 10.0.0.1:8080
tcp :22 serves
tcp :82 10.0.0.2:82`
	if got := wayText(hops); err != nil || got != want {
		t.Errorf("read\n%s\nwant\n%s\n%v", got, want, err)
	}
	for _, h := range hops {
		if !strings.HasSuffix(h.unit, ".socket") {
			t.Errorf("unit %q", h.unit)
		}
	}
}

// The kernel's record of connections is read whole, and ends.
func TestConnectionsAreRead(t *testing.T) {
	l := newLive(t, "python3")
	l.backend("8080")
	l.python(pythonClient, backendAddr, "8080", "40", l.dir+"/done")
	l.eventually("the client did not get through", func() bool { _, err := os.Stat(l.dir + "/done"); return err == nil })
	time.Sleep(50 * time.Millisecond)
	l.space.MustDo(t, countConnections(t, 80))
}

func countConnections(t *testing.T, want int) func(context.Context) error {
	return func(ctx context.Context) error {
		all, err := readConnections(ctx)
		if len(all) != want {
			t.Errorf("read %d ends of connections, want %d", len(all), want)
		}
		for _, c := range all {
			if c.inode == 0 || c.received == 0 || c.acked == 0 {
				t.Errorf("half a connection: %+v", c)
			}
		}
		return err
	}
}
