package ipvs

import (
	"bytes"
	"context"
	"encoding/hex"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/natwarden/natwarden/internal/genl"
	"github.com/natwarden/natwarden/internal/host"
	"github.com/natwarden/natwarden/internal/lab/labtest"
)

// Messages as the header gives them (include/uapi/linux/ip_vs.h), little
// endian: command, version, two reserved bytes; a nested object; its attributes.
const (
	// 192.0.2.1:80/tcp, rr, persistent.
	tcpService = "01010000" + "44000180" + "0600010002000000" + "0600020006000000" +
		"14000300c0000201000000000000000000000000" + "0600040000500000" + "0700060072720000" + "0c00070001000000ffffffff"
	// packets with mark 0x20, IPv4, wlc.
	markService = "01010000" + "1c000180" + "0600010002000000" + "0800050020000000" + "08000600776c6300"
	// [2001:db8::1]:53/udp, sh.
	udpService = "01010000" + "38000180" + "060001000a000000" + "0600020011000000" +
		"1400030020010db8000000000000000000000001" + "0600040000350000" + "0700060073680000"
	// 10.77.2.2:8080, masqueraded, weight 1.
	masqDest = "05010000" + "38000280" + "140001000a4d0202000000000000000000000000" + "060002001f900000" + "0800030000000000" +
		"0800040001000000" + "06000b0002000000"
	// 10.77.2.3:80, direct routing, weight 0; its family is not said (before Linux 3.18).
	routeDest = "05010000" + "30000280" + "140001000a4d0203000000000000000000000000" + "0600020000500000" + "0800030003000000" + "0800040000000000"
)

func message(t testing.TB, text string) genl.Message {
	t.Helper()
	b, err := hex.DecodeString(text)
	if err != nil {
		t.Fatal(err)
	}
	m, err := genl.Parse(b)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func decoded(t *testing.T, text string, dests ...string) service {
	t.Helper()
	s, err := decodeService(message(t, text))
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range dests {
		x, err := decodeDest(message(t, d), s.family)
		if err != nil {
			t.Fatal(err)
		}
		s.dests = append(s.dests, x)
	}
	return s
}

func TestServicesBecomeRows(t *testing.T) {
	tests := map[string]struct {
		service                   string
		dests                     []string
		state, extent, conditions string
		to, advice                string
	}{
		"by address": {tcpService, []string{masqDest, routeDest}, host.Active, "ip tcp 192.0.2.1 80", "",
			"10.77.2.2:8080,10.77.2.3", "ipvsadm -D -t 192.0.2.1:80,"},
		"by mark":            {markService, []string{masqDest}, host.Active, "ip sctp,tcp,udp  any", "mark 0x20", "10.77.2.2:8080", "ipvsadm -D -f 32,"},
		"IPv6":               {udpService, nil, host.Inactive, "ip6 udp 2001:db8::1 53", "", "", "ipvsadm -D -u [2001:db8::1]:53,"},
		"nobody is weighted": {tcpService, []string{routeDest}, host.Inactive, "ip tcp 192.0.2.1 80", "", "10.77.2.3", "ipvsadm"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			s := decoded(t, tt.service, tt.dests...)
			r := row(&s, nil)
			extent := strings.Join([]string{string(r.Family), sortedList(r.Proto), r.Address, r.Ports}, " ")
			if r.Mechanism != "ipvs" || r.Kind != "service" || r.State != tt.state || extent != tt.extent ||
				strings.Join(r.Conditions, ",") != tt.conditions || strings.Join(r.To, ",") != tt.to || !strings.Contains(r.Advice, tt.advice) {
				t.Errorf("got %s %q conditions %v to %v, advice %q", r.State, extent, r.Conditions, r.To, r.Advice)
			}
		})
	}
}

// What runs in a namespace, and its devices, say who makes services there.
func TestAdviceNamesWhoMakesServicesHere(t *testing.T) {
	s := labtest.New(t, "sleep")
	dir := t.TempDir()
	sleep, err := exec.LookPath("sleep")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(sleep, filepath.Join(dir, "keepalived")); err != nil {
		t.Fatal(err)
	}
	s.MustDo(t, func(context.Context) error {
		cmd := exec.Command(filepath.Join(dir, "keepalived"), "60")
		if err := cmd.Start(); err != nil {
			return err
		}
		t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
		return nil
	})
	kube := &host.Space{Netns: "/run/docker/netns/ingress_sbox", Ifaces: []host.Iface{{Name: "kube-ipvs0"}}}
	var here []string
	for range 50 { // until it has become keepalived
		s.MustDo(t, func(context.Context) error { here = seenMakers(kube); return nil })
		if len(here) == 3 {
			break
		}
		time.Sleep(20 * time.Millisecond)
	}
	text := advice("-t 192.0.2.1:80", here)
	for _, want := range []string{"kubectl get svc -A", "docker service rm", "keepalived runs here (pid ", "systemctl reload keepalived", "else it comes back after ipvsadm -D -t 192.0.2.1:80"} {
		if !strings.Contains(text, want) {
			t.Errorf("%q is not in %q", want, text)
		}
	}
	labtest.New(t).MustDo(t, func(context.Context) error {
		if got := seenMakers(&host.Space{}); len(got) > 0 {
			t.Errorf("in another namespace: %q", got)
		}
		return nil
	})
}

func sortedList(text string) string {
	list := strings.Split(text, ",")
	slices.Sort(list)
	return strings.Join(list, ",")
}

// proc is what the kernel lists for the same services
// (ip_vs_info_seq_show, net/netfilter/ipvs/ip_vs_ctl.c).
const proc = `IP Virtual Server version 1.2.1 (size=4096)
Prot LocalAddress:Port Scheduler Flags
  -> RemoteAddress:Port Forward Weight ActiveConn InActConn
TCP  C0000201:0050 rr persistent 300 FFFFFFFF
  -> 0A4D0202:1F90      Masq    1      0          0         
  -> 0A4D0203:0050      Route   0      0          0         
UDP  [2001:0db8:0000:0000:0000:0000:0000:0001]:0035 sh 
FWM  00000020 wlc 
  -> 0A4D0202:1F90      Masq    1      3          1         
`

func TestTwoReadingsAreCompared(t *testing.T) {
	services := []service{decoded(t, tcpService, masqDest, routeDest), decoded(t, markService, masqDest), decoded(t, udpService)}
	if blind := compare(services, parseProc(proc)); blind != nil {
		t.Errorf("they agree, and: %v", blind)
	}
	for name, text := range map[string]string{
		"a service more":         proc + "TCP  C0000202:0050 rr \n",
		"a destination less":     strings.Replace(proc, "  -> 0A4D0203:0050      Route   0      0          0         \n", "", 1),
		"another weight":         strings.Replace(proc, "Masq    1 ", "Masq    2 ", 1),
		"a line of another form": proc + "XYZ  what is this\n",
	} {
		if blind := compare(services, parseProc(text)); len(blind) != 1 || blind[0].Source != "ipvs" {
			t.Errorf("%s: %v", name, blind)
		}
	}
}

func TestAQuestionNamesTheService(t *testing.T) {
	for _, text := range []string{tcpService, markService, udpService} {
		s := decoded(t, text)
		again, err := decodeService(genl.Message{Attrs: s.question()})
		if err != nil || again.name() != s.name() || again.family != s.family {
			t.Errorf("%s is asked for as %s, %v", s.name(), again.name(), err)
		}
	}
	want, _ := hex.DecodeString("14000180" + "0600010002000000" + "0800050020000000")
	mark := decoded(t, markService)
	if got := mark.question(); !bytes.Equal(got, want) {
		t.Errorf("% x, want % x", got, want)
	}
}

func TestTornMessagesAreErrors(t *testing.T) {
	for _, text := range []string{"01010000", "010100000800010006000100", tcpService[:40], "01010000" + "0c000180" + "0600010063000000"} {
		if s, err := decodeService(message(t, text)); err == nil {
			t.Errorf("%s is taken for %+v", text, s)
		}
	}
	if d, err := decodeDest(message(t, masqDest[:8]+"0c000280"+"060002001f900000"), unix.AF_INET); err == nil {
		t.Errorf("a destination without an address is taken: %+v", d)
	}
}

func TestWithoutTheModuleNothingIsAsked(t *testing.T) {
	space := labtest.New(t)
	space.MustDo(t, func(ctx context.Context) error {
		var into host.Space
		reading, err := Source{}.Read(ctx, &into)
		if err != nil {
			return err
		}
		if reading.State != host.Absent && reading.State != host.Read || len(into.Redirects) > 0 || len(reading.Blind) > 0 {
			t.Errorf("an empty namespace: %+v, %v", reading, into.Redirects)
		}
		return nil
	})
}

func FuzzDecode(f *testing.F) {
	for _, text := range []string{tcpService, markService, udpService, masqDest, routeDest} {
		b, _ := hex.DecodeString(text)
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		m, err := genl.Parse(b)
		if err != nil {
			return
		}
		if s, err := decodeService(m); err == nil {
			row(&s, nil)
			if s.mark == 0 && !s.addr.IsValid() {
				t.Errorf("a service of nothing: %+v", s)
			}
			o := s.object()
			if again, err := Pack(o.Raw, nil); again.Fingerprint != o.Fingerprint || (err == nil) != (o.Unrestorable == "") {
				t.Errorf("%+v comes back as %+v, %v", o, again, err)
			}
		}
		if d, err := decodeDest(m, unix.AF_INET6); err == nil && d.addr == (netip.Addr{}) {
			t.Errorf("a destination without an address: %+v", d)
		}
	})
}

func FuzzProc(f *testing.F) {
	f.Add(proc)
	f.Fuzz(func(_ *testing.T, text string) { parseProc(text) })
}
