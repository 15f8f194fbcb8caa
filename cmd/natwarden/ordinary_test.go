package main

import (
	"context"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/cilium/ebpf/link"
	vnl "github.com/vishvananda/netlink"

	"github.com/natwarden/natwarden/internal/host"
	"github.com/natwarden/natwarden/internal/lab"
	"github.com/natwarden/natwarden/internal/lab/labtest"
)

// TestAnOrdinaryHostIsLeftAlone holds natwarden against a host as there are
// many: docker with a network of its own, podman, nginx, sshd, dhclient, lldpd, chrony
// and a program that counts packets. Only the ports that docker and podman
// publish are violations, as long as no policy allows them.
func TestAnOrdinaryHostIsLeftAlone(t *testing.T) {
	t.Parallel()
	labtest.Partners(t, "dockerd", "docker", "nginx", "sshd", "ssh-keygen", "lldpd", "chronyd", "dhclient", "nsenter", "python3", "ss", "iptables-save")
	space := labtest.New(t, "unshare", "iptables")
	client := labtest.New(t)
	dir := t.TempDir()
	buildWeb(t, filepath.Join(dir, "web"))
	natwarden := filepath.Join(dir, "natwarden")
	if err := os.Symlink(testBinary(t), natwarden); err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithTimeout(t.Context(), 5*time.Minute)
	defer stop()
	if err := lab.Link(ctx, lab.End{Space: space.Space, Name: "eth0", Addr: "203.0.113.1/24"}, lab.End{Space: client.Space, Name: "eth0", Addr: "203.0.113.2/24"}); err != nil {
		t.Fatal(err)
	}
	space.MustDo(t, func(context.Context) error { attachCounter(t, "eth0"); return nil })
	out := live(ctx, t, space, client, dir, natwarden)

	for _, name := range []string{"builtin", "allowed", "nopolicy", "noflag", "remediate"} {
		if _, err := os.Stat(filepath.Join(dir, name+".code")); err != nil {
			t.Fatalf("the host did not get as far as %s:\n%s", name, out)
		}
	}
	onlyPublished(t, fileOf(t, dir, "builtin.out"))
	if strings.TrimSpace(string(fileOf(t, dir, "front2"))) == "" {
		t.Log("podman or runc is not installed: podman is not held against natwarden")
	}
	for name, want := range map[string]string{"builtin": "2", "allowed": "0", "nopolicy": "78", "noflag": "78", "remediate": "0"} {
		if got := strings.TrimSpace(string(fileOf(t, dir, name+".code"))); got != want {
			t.Errorf("%s: exit %s, want %s\n%.3000s\n%s", name, got, want, fileOf(t, dir, name+".out"), fileOf(t, dir, name+".err"))
		}
	}
	if before, after := savedRules(t, dir, "before"), savedRules(t, dir, "after"); before != after {
		t.Errorf("remediate changed what a policy allows:\n%s\n%s", before, after)
	}
}

func buildWeb(t *testing.T, to string) {
	t.Helper()
	cmd := exec.Command("go", "build", "-o", to, "./testdata/ordinary")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOFLAGS=")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("building the containers' server: %v: %s", err, out)
	}
}

// attachCounter attaches a program that counts the packets of an interface, as a
// monitor does; it is attached until the test ends.
func attachCounter(t *testing.T, name string) {
	counter, err := ebpf.NewMap(&ebpf.MapSpec{Type: ebpf.Array, KeySize: 4, ValueSize: 8, MaxEntries: 1})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { counter.Close() })
	program, err := ebpf.NewProgram(&ebpf.ProgramSpec{Name: "monitor", Type: ebpf.SchedCLS, License: "GPL", Instructions: asm.Instructions{
		asm.StoreImm(asm.RFP, -4, 0, asm.Word),
		asm.Mov.Reg(asm.R2, asm.RFP), asm.Add.Imm(asm.R2, -4),
		asm.LoadMapPtr(asm.R1, counter.FD()), asm.FnMapLookupElem.Call(),
		asm.JEq.Imm(asm.R0, 0, "out"),
		asm.Mov.Imm(asm.R1, 1), asm.StoreXAdd(asm.R0, asm.R1, asm.DWord),
		asm.Mov.Imm(asm.R0, -1).WithSymbol("out"), asm.Return(),
	}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { program.Close() })
	dev, err := vnl.LinkByName(name)
	if err != nil {
		t.Fatal(err)
	}
	attached, err := link.AttachTCX(link.TCXOptions{Interface: dev.Attrs().Index, Program: program, Attach: ebpf.AttachTCXIngress})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { attached.Close() })
}

// live runs the host until it has asked natwarden everything; meanwhile the
// client uses the published port.
func live(ctx context.Context, t *testing.T, space, client labtest.Space, dir, natwarden string) string {
	t.Helper()
	done := make(chan string, 1)
	go func() {
		var out []byte
		_ = space.Do(ctx, func(ctx context.Context) error { // how far it came shows in its files
			var err error
			out, err = exec.CommandContext(ctx, "unshare", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc",
				"bash", "testdata/ordinary/host.sh", dir, natwarden).CombinedOutput()
			return err
		})
		done <- string(out)
	}()
	for {
		select {
		case out := <-done:
			return out
		case <-time.After(50 * time.Millisecond):
			if _, err := os.Stat(filepath.Join(dir, "up")); err != nil {
				continue
			}
			if _, err := client.Ask(ctx, "203.0.113.1:8080"); err != nil {
				t.Logf("the published port: %v", err) // the server waits for a request: reset or late, it has been asked
			}
			if err := os.WriteFile(filepath.Join(dir, "asked"), nil, 0o600); err != nil {
				t.Error(err)
			}
			return <-done
		}
	}
}

func fileOf(t *testing.T, dir, name string) []byte {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(dir, name))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// savedRules are the saved rules without counters and dates.
func savedRules(t *testing.T, dir, name string) string {
	t.Helper()
	return regexp.MustCompile(`(?m)^#.*\n|\[\d+:\d+\]`).ReplaceAllString(string(fileOf(t, dir, name+".rules")), "")
}

// published tells a port that docker or podman publishes, whose row says where
// to end it.
func published(x host.Redirect) bool {
	if x.Owner == nil {
		return false
	}
	return x.Ports == "8080" && x.Owner.Kind == "docker" && strings.Contains(x.Advice, "Docker") ||
		x.Ports == "8081" && x.Owner.Kind == "podman" && strings.Contains(x.Advice, "Podman")
}

// onlyPublished holds that the violations are the published port's, that
// nothing is blind, and that docker's resolver, the packet sockets and the
// monitor were seen and understood.
func onlyPublished(t *testing.T, report []byte) {
	t.Helper()
	var r struct {
		Redirects []host.Redirect
		Listeners []host.Listener
		Blind     []host.Blind
	}
	if err := json.Unmarshal(report, &r); err != nil {
		t.Fatalf("%v: %.300s", err, report)
	}
	seen := map[string]int{}
	for _, x := range r.Redirects {
		seen[x.Kind+" "+x.Verdict]++
		if x.Verdict == host.Violation && !published(x) {
			t.Errorf("%s %s of %q is %s: ports %s, to %v, why %v, evidence %v, advice %q", x.Mechanism, x.Kind, x.Netns, x.Verdict, x.Ports, x.To, x.Why, x.Evidence, x.Advice)
		}
		if len(x.To) > 0 && strings.HasPrefix(x.To[0], "127.0.0.11:") && !strings.Contains(strings.Join(x.Evidence, "; "), "Docker's embedded DNS") {
			t.Errorf("docker's resolver is not proven: %v", x.Evidence)
		}
	}
	for _, l := range r.Listeners {
		if l.Verdict == host.Violation {
			t.Errorf("the listener on %s port %d is a violation: %s", l.Address, l.Port, l.Advice)
		}
	}
	if len(r.Blind) > 0 {
		t.Errorf("blind: %v", r.Blind)
	}
	for what, least := range map[string]int{"dnat violation": 1, "forwarder violation": 1, "dnat info": 4, "packet info": 2, "tcx info": 1} {
		if seen[what] < least {
			t.Errorf("%d of %q, want at least %d: %v", seen[what], what, least, seen)
		}
	}
}
