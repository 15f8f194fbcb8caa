//go:build amd64

package trial

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/cilium/ebpf/link"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	bpfedit "github.com/natwarden/natwarden/internal/bpf/edit"
	"github.com/natwarden/natwarden/internal/netns"
)

// beyondNFT are elements of maps, one by one and in pairs, that redirect.
const beyondNFT = `
table ip nat {
	map pairs {
		type ipv4_addr . inet_service : ipv4_addr . inet_service
		elements = { 10.77.1.2 . 1000 : 10.0.0.1 . 80, 10.77.1.3 . 1003 : 10.0.0.2 . 80 }
	}
	chain kept {
		tcp dport 700 accept
	}
	chain pre {
		type nat hook prerouting priority -100
		dnat ip to ip saddr . tcp dport map @pairs
		jump kept
	}
}
`

// beyondIPTables are rules of both kinds that ask an ipset, in the words of
// iptables.
const beyondIPTables = `*nat
:PREROUTING ACCEPT [0:0]
:INPUT ACCEPT [0:0]
:OUTPUT ACCEPT [0:0]
:POSTROUTING ACCEPT [0:0]
-A PREROUTING -p tcp -m set --match-set trial dst -m tcp --dport 84 -j REDIRECT --to-ports 8084
-A PREROUTING -p tcp -m tcp --dport 85 -j ACCEPT
COMMIT
`

// beyondFilters are redirects of traffic control; the last one is a program.
const beyondFilters = `tc filter add dev e0 ingress pref 5 protocol ip u32 match ip dport 80 0xffff action mirred egress redirect dev e1
tc filter add dev e0 ingress pref 5 protocol ip u32 match ip dport 81 0xffff action mirred egress redirect dev e1
tc filter add dev e0 egress pref 6 protocol ip u32 match u32 0 0 action mirred egress mirror dev e1
tc filter add dev e0 egress pref 7 protocol ip bpf da object-pinned ` + pins + `/tc`

// pins is a folder of the host in a bpffs of this test's own.
const pins = "/sys/fs/bpf/host"

// linksOnce makes the links unless another world has made them.
func linksOnce(b *bench) {
	b.Helper()
	if _, err := netlink.LinkByName("e0"); err != nil {
		buildLinks(b.T)
	}
}

// linksBeyond makes, besides the links, a bpffs, an ipset and a place for filters.
func linksBeyond(b *bench) {
	b.Helper()
	linksOnce(b)
	if err := unix.Mount("natwarden-trial", "/sys/fs/bpf", "bpf", 0, "mode=700"); err != nil {
		b.Fatal(err)
	}
	must(b.T, "create trial hash:ip\nadd trial 10.77.1.1\n", "ipset restore")
	must(b.T, "", "tc qdisc add dev e0 clsact")
}

// buildBeyond makes rules, routes, filters and programs anew.
func buildBeyond(b *bench) {
	b.Helper()
	must(b.T, "flush ruleset\n"+beyondNFT, "nft -f -")
	must(b.T, beyondIPTables, "iptables-legacy-restore")
	must(b.T, strings.Replace(beyondIPTables, "-A PREROUTING -p tcp -m set", "-A PREROUTING -p udp -m udp --dport 86 -j REDIRECT --to-ports 8086\n-A PREROUTING -p tcp -m set", 1),
		"iptables-nft-restore --noflush")
	must(b.T, "*nat\n:PREROUTING ACCEPT [0:0]\nCOMMIT\n", "ip6tables-legacy-restore")
	buildRoutes(b.T)
	for _, hook := range []string{"ingress", "egress"} {
		must(b.T, "", "tc filter del dev e0 "+hook)
	}
	if err := errors.Join(os.RemoveAll("/sys/fs/bpf/natwarden"), os.RemoveAll(pins), os.Mkdir(pins, 0o700), programs()); err != nil {
		b.Fatal(err)
	}
	for line := range strings.Lines(beyondFilters) {
		must(b.T, "", line)
	}
	if err := os.Remove(pins + "/tc"); err != nil { // nothing but the filter holds its program
		b.Fatal(err)
	}
}

// programs attaches redirects in eBPF: XDP without a link, tcx and sk_lookup by
// links that pins hold.
func programs() error {
	e1, err := netlink.LinkByName("e1")
	if err != nil {
		return err
	}
	sends := []asm.Instruction{asm.Mov.Imm(asm.R1, 1), asm.Mov.Imm(asm.R2, 0), asm.FnRedirect.Call(), asm.Return()}
	back := []asm.Instruction{asm.Mov.Imm(asm.R0, 3), asm.Return()} // XDP_TX
	answers := []asm.Instruction{asm.Mov.Imm(asm.R2, 0), asm.Mov.Imm(asm.R3, 0), asm.FnSkAssign.Call(), asm.Mov.Imm(asm.R0, 1), asm.Return()}
	return errors.Join(
		with(ebpf.SchedCLS, 0, sends, func(p *ebpf.Program) error { return p.Pin(pins + "/tc") }),
		with(ebpf.XDP, ebpf.AttachXDP, back, func(p *ebpf.Program) error {
			return errors.Join(netlink.LinkSetXdpFdWithFlags(e1, -1, unix.XDP_FLAGS_SKB_MODE), netlink.LinkSetXdpFdWithFlags(e1, p.FD(), unix.XDP_FLAGS_SKB_MODE))
		}),
		with(ebpf.SchedCLS, ebpf.AttachTCXIngress, sends, func(p *ebpf.Program) error {
			l, err := link.AttachTCX(link.TCXOptions{Program: p, Interface: e1.Attrs().Index, Attach: ebpf.AttachTCXIngress})
			if errors.Is(err, ebpf.ErrNotSupported) {
				return nil // a kernel before 6.6
			}
			return pinned(l, err, "tcx")
		}),
		with(ebpf.SkLookup, ebpf.AttachSkLookup, answers, func(p *ebpf.Program) error {
			h, err := netns.Current()
			if err != nil {
				return err
			}
			defer h.Close()
			l, err := link.AttachNetNs(h.Fd(), p)
			return pinned(l, err, "lookup")
		}))
}

// with loads a program for as long as it takes to attach it.
func with(kind ebpf.ProgramType, at ebpf.AttachType, code []asm.Instruction, attach func(*ebpf.Program) error) error {
	p, err := ebpf.NewProgram(&ebpf.ProgramSpec{Name: "trial", Type: kind, AttachType: at, License: "GPL", Instructions: code})
	if err != nil {
		return err
	}
	defer p.Close()
	return attach(p)
}

// pinned leaves a link to its pin alone.
func pinned(l link.Link, err error, name string) error {
	if err != nil {
		return err
	}
	defer l.Close()
	return l.Pin(filepath.Join(pins, name))
}

// numbers are those that the kernel gives anew when a filter is made again.
var numbers = regexp.MustCompile(`index \d+|fh [0-9a-f:]+|ht divisor \d+|key ht [0-9a-f]+|handle 0x[0-9a-f]+|\bid \d+|load_time \d+|order \d+ key`)

// markBeyond marks filters, programs, pins and ipsets.
func markBeyond(b *bench, out map[string]string) {
	b.Helper()
	for _, hook := range []string{"ingress", "egress"} {
		line := "tc -d filter show dev e0 " + hook
		// What was deleted is shown until the kernel has freed it.
		text := must(b.T, "", line)
		out[line] = numbers.ReplaceAllString(text, "N")
	}
	shown := must(b.T, "", "ip -d link show dev e1")
	out["ip -d link show dev e1"] = numbers.ReplaceAllString(shown, "N")
	out["ipset"] = must(b.T, "", "ipset list -o save")
	entries, err := os.ReadDir(pins)
	if err != nil {
		b.Fatal(err)
	}
	for _, e := range entries {
		out["pin "+e.Name()] = "there"
	}
	markPrograms(b, out)
}

// markPrograms marks what is attached in this namespace, as natwarden's own
// reader sees it.
func markPrograms(b *bench, out map[string]string) {
	b.Helper()
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	ctx, stop := context.WithTimeout(context.Background(), time.Minute)
	defer stop()
	w, err := bpfedit.New().World(ctx)
	if err != nil {
		b.Fatal(err)
	}
	for place, prints := range w.Places {
		if !strings.Contains(place, "cgroup") { // everybody's
			out[place] = fmt.Sprintf("%q", slices.Clone(prints))
		}
	}
}
