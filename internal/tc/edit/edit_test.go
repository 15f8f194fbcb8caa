package edit

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"golang.org/x/sys/unix"

	bpfedit "github.com/natwarden/natwarden/internal/bpf/edit"
	"github.com/natwarden/natwarden/internal/change"
	"github.com/natwarden/natwarden/internal/host"
	"github.com/natwarden/natwarden/internal/lab/labtest"
	"github.com/natwarden/natwarden/internal/tc"
)

// testEditor keeps programs in a bpffs of the test's own, which ends with it.
func testEditor(t *testing.T) (e Editor, dir string) {
	t.Helper()
	dir = filepath.Join(t.TempDir(), "bpf")
	e = Editor{bpfedit.KeepIn(dir)}
	if err := e.keep.Possible(); err != nil {
		labtest.Unmet(t, err.Error())
	}
	t.Cleanup(func() { _ = unix.Unmount(dir, unix.MNT_DETACH) })
	return e, dir
}

func network(t *testing.T, filters ...string) labtest.Space {
	s := labtest.New(t, "ip", "tc")
	for _, line := range append([]string{"ip link add dev e0 type veth peer name e1", "ip link set e0 up", "ip link set e1 up", "tc qdisc add dev e0 clsact"}, filters...) {
		argv := strings.Fields(line)
		for i := range argv {
			argv[i] = strings.ReplaceAll(argv[i], "_", " ")
		}
		s.MustRun(t, "", argv...)
	}
	return s
}

// listing is what tc shows, without counts and the numbers of actions.
func listing(t *testing.T, s labtest.Space) string {
	out := s.MustRun(t, "", "tc", "-d", "filter", "show", "dev", "e0", "ingress") + s.MustRun(t, "", "tc", "-d", "filter", "show", "dev", "e0", "egress")
	return regexp.MustCompile(`index \d+`).ReplaceAllString(out, "index N")
}

// found lists the redirects that can be ended.
func found(ctx context.Context, t *testing.T) (refs []host.Ref, ids []string) {
	var space host.Space
	if _, err := (tc.Source{}).Read(ctx, &space); err != nil {
		t.Error(err)
	}
	for _, r := range space.Redirects {
		if r.Ref != nil {
			refs, ids = append(refs, *r.Ref), append(ids, r.ID)
		}
	}
	return refs, ids
}

// journaled gives the steps as another process reads them.
func journaled(t *testing.T, steps []change.Step) []change.Step {
	text, err := json.Marshal(steps)
	var out []change.Step
	if err := errors.Join(err, json.Unmarshal(text, &out)); err != nil {
		t.Fatal(err)
	}
	return out
}

const redirect = " action mirred egress redirect dev e1"

var filters = map[string][]string{
	"one u32":                 {"tc filter add dev e0 ingress protocol ip u32 match ip dport 80 0xffff" + redirect},
	"two u32 of a preference": {"tc filter add dev e0 ingress pref 5 protocol ip u32 match ip dport 80 0xffff" + redirect, "tc filter add dev e0 ingress pref 5 protocol ip u32 match ip dport 81 0xffff" + redirect},
	"two preferences":         {"tc filter add dev e0 ingress pref 5 protocol ip u32 match ip dport 80 0xffff" + redirect, "tc filter add dev e0 ingress pref 6 protocol ip u32 match ip dport 81 0xffff" + redirect},
	"bytecode":                {"tc filter add dev e0 egress protocol all bpf bytecode 1,6_0_0_4294967295" + redirect},
	"chain":                   {"tc filter add dev e0 ingress chain 3 protocol ip u32 match ip dport 80 0xffff" + redirect},
	"a shared action":         {"tc actions add action mirred egress redirect dev e1 index 44", "tc filter add dev e0 ingress protocol ip u32 match u32 0 0 action mirred index 44"},
	"two actions":             {"tc filter add dev e0 ingress protocol ip u32 match u32 0 0 action mirred egress mirror dev e1 pipe" + redirect},
}

// ofOtherKernels are filters that not every kernel has.
var ofOtherKernels = map[string][]string{
	"flower":                      {"tc filter add dev e0 ingress protocol ip flower dst_ip 10.0.0.0/8 ip_proto tcp dst_port 80" + redirect},
	"flower with a range":         {"tc filter add dev e0 ingress protocol ipv6 flower ip_proto udp dst_port 8000-8010" + redirect},
	"flower with a VLAN":          {"tc filter add dev e0 ingress protocol 802.1q flower vlan_id 7 vlan_ethtype ip ip_proto tcp dst_port 443" + redirect},
	"two flowers of a preference": {"tc filter add dev e0 ingress pref 5 protocol ip flower ip_proto tcp dst_port 80" + redirect, "tc filter add dev e0 ingress pref 5 protocol ip flower ip_proto tcp dst_port 81" + redirect},
	"matchall":                    {"tc filter add dev e0 egress protocol all matchall" + redirect},
	"fw":                          {"tc filter add dev e0 ingress protocol ip handle 0x1/0xff fw" + redirect},
	"two marks of fw":             {"tc filter add dev e0 ingress pref 5 protocol ip handle 1 fw" + redirect, "tc filter add dev e0 ingress pref 5 protocol ip handle 2 fw" + redirect},
	"basic":                       {"tc filter add dev e0 ingress protocol ip basic match u32(u8~6~0xff~at~9)~and~u32(u16~443~0xffff~at~22)" + redirect},
	"basic with a choice":         {"tc filter add dev e0 ingress protocol ip basic match not~(u32(u8~6~0xff~at~9)~or~cmp(u16~at~22~layer~0~eq~443))" + redirect},
	"basic with meta":             {"tc filter add dev e0 ingress protocol ip basic match meta(nf_mark~eq~7)" + redirect},
	"cgroup":                      {"tc filter add dev e0 egress protocol ip handle 1: cgroup" + redirect},
	"route":                       {"tc filter add dev e0 egress protocol ip route to 10" + redirect},
	"pedit and redirect":          {"tc filter add dev e0 ingress protocol ip matchall action pedit ex munge ip dst set 10.0.0.1 pipe action csum ip pipe" + redirect},
	"vlan and redirect":           {"tc filter add dev e0 ingress protocol ip matchall action vlan push id 7 pipe" + redirect},
	"skbedit and redirect":        {"tc filter add dev e0 ingress protocol ip flower ip_proto tcp action skbedit mark 7 pipe" + redirect},
}

func TestFiltersOfOtherKernelsGoAndComeBack(t *testing.T) {
	s := network(t)
	e, _ := testEditor(t)
	for name, lines := range ofOtherKernels {
		t.Run(name, func(t *testing.T) {
			for _, hook := range []string{"ingress", "egress"} {
				s.MustRun(t, "", "tc", "filter", "del", "dev", "e0", hook)
			}
			for _, line := range lines {
				argv := strings.Fields(line)
				for i := range argv {
					argv[i] = strings.ReplaceAll(argv[i], "~", " ")
				}
				ctx, stop := context.WithTimeout(t.Context(), time.Minute)
				defer stop()
				if _, err := s.Run(ctx, "", argv...); err != nil {
					labtest.Lacking(t, err.Error())
				}
			}
			goAndComeBack(t, s, e)
		})
	}
}

func TestFiltersGoAndComeBack(t *testing.T) {
	for name, lines := range filters {
		t.Run(name, func(t *testing.T) {
			s := network(t, lines...)
			e, _ := testEditor(t)
			goAndComeBack(t, s, e)
		})
	}
}

func goAndComeBack(t *testing.T, s labtest.Space, e Editor) {
	t.Helper()
	before := listing(t, s)
	var steps []change.Step
	s.MustDo(t, func(ctx context.Context) error {
		refs, ids := found(ctx, t)
		if len(refs) == 0 {
			t.Error("nothing was found")
		}
		var refused []change.Refusal
		var err error
		steps, refused, err = e.Steps(ctx, refs, ids)
		if failed, _ := e.Check(ctx, steps); len(failed)+len(refused) > 0 || err != nil {
			t.Errorf("refused %v, failed %v, %v", refused, failed, err)
		}
		_, err = e.Edit(ctx, 0, steps)
		return err
	})
	if listing(t, s) == before {
		t.Error("nothing changed")
	}
	s.MustDo(t, func(ctx context.Context) error {
		if refs, ids := found(ctx, t); len(refs) > 0 {
			t.Errorf("still there: %v", ids)
		}
		_, err := e.Edit(ctx, 0, journaled(t, change.Invert(steps)))
		return err
	})
	after := listing(t, s)
	for range 20 { // the kernel frees a deleted filter, and what it refers to, a little later
		if after == before {
			return
		}
		time.Sleep(50 * time.Millisecond)
		after = listing(t, s)
	}
	t.Errorf("before:\n%s\nafter:\n%s", before, after)
}

func TestAnEBPFFilterComesBackWithItsProgram(t *testing.T) {
	e, dir := testEditor(t)
	s := network(t)
	p, err := ebpf.NewProgram(&ebpf.ProgramSpec{Name: "nwtc", Type: ebpf.SchedCLS, License: "GPL",
		Instructions: asm.Instructions{asm.Mov.Imm(asm.R2, 1), asm.StoreMem(asm.R1, 8, asm.R2, asm.Word), asm.Mov.Imm(asm.R0, 0), asm.Return()}})
	if err != nil {
		t.Fatal(err)
	}
	id := programID(t, p)
	if err := e.keep.Program(id, filepath.Join(dir, "test")); err != nil {
		t.Fatal(err)
	}
	s.MustRun(t, "", "tc", "filter", "add", "dev", "e0", "ingress", "bpf", "da", "object-pinned", filepath.Join(dir, "test"))
	p.Close()
	if err := os.Remove(filepath.Join(dir, "test")); err != nil { // now nothing but the filter holds the program
		t.Fatal(err)
	}
	goAndComeBack(t, s, e)
	entries, err := os.ReadDir(dir)
	if slices.ContainsFunc(entries, func(e os.DirEntry) bool { return !strings.HasSuffix(e.Name(), ".debug") }) {
		t.Errorf("left: %v, %v", entries, err)
	}
}

func programID(t *testing.T, p *ebpf.Program) uint32 {
	info, err := p.Info()
	if err != nil {
		t.Fatal(err)
	}
	id, _ := info.ID()
	return uint32(id)
}

func TestWhatIsGoneIsStale(t *testing.T) {
	s := network(t, filters["one u32"]...)
	e, _ := testEditor(t)
	s.MustDo(t, func(ctx context.Context) error {
		refs, ids := found(ctx, t)
		steps, _, err := e.Steps(ctx, refs, ids)
		if err != nil {
			return err
		}
		if _, err := e.Edit(ctx, 0, steps); err != nil {
			return err
		}
		if _, _, err := e.Steps(ctx, refs, ids); !errors.Is(err, change.ErrStale) {
			t.Errorf("got %v, want ErrStale", err)
		}
		return nil
	})
}

func TestAFailingStepUndoesTheOthers(t *testing.T) {
	s := network(t, filters["two u32 of a preference"]...)
	e, _ := testEditor(t)
	before := listing(t, s)
	s.MustDo(t, func(ctx context.Context) error {
		refs, ids := found(ctx, t)
		steps, _, err := e.Steps(ctx, refs, ids)
		if err != nil {
			return err
		}
		steps = append(steps, change.Step{Action: change.Add, After: &change.Object{Text: "nonsense", Raw: []byte{1}}})
		if _, err := e.Edit(ctx, 0, steps); err == nil {
			t.Error("a step that cannot be done went unnoticed")
		}
		return nil
	})
	if after := listing(t, s); after != before {
		t.Errorf("before:\n%s\nafter:\n%s", before, after)
	}
}

// A filter that rollback could not make again is not called reversible.
func TestWhatCannotComeBackIsSaid(t *testing.T) {
	s := network(t, "tc filter add dev e0 ingress pref 5 handle 1: protocol ip u32 divisor 4",
		"tc filter add dev e0 ingress pref 5 protocol ip u32 ht 1:2: match ip dport 80 0xffff"+redirect)
	e, _ := testEditor(t)
	s.MustDo(t, func(ctx context.Context) error {
		refs, ids := found(ctx, t)
		steps, _, err := e.Steps(ctx, refs, ids)
		if err != nil {
			return err
		}
		if failed, err := e.Check(ctx, steps); err != nil || len(failed) != 1 {
			t.Errorf("failed %v, %v", failed, err)
		}
		return nil
	})
}
