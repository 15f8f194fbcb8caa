package edit

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/cilium/ebpf/link"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/natwarden/natwarden/internal/bpf"
	"github.com/natwarden/natwarden/internal/change"
	"github.com/natwarden/natwarden/internal/host"
	"github.com/natwarden/natwarden/internal/lab/labtest"
	"github.com/natwarden/natwarden/internal/netns"
)

// testEditor keeps programs in a bpffs of the test's own, which ends with it.
func testEditor(t *testing.T) Editor {
	t.Helper()
	k := Keep{dir: filepath.Join(t.TempDir(), "bpf"), mount: true}
	if err := k.possible(); err != nil {
		labtest.Unmet(t, err.Error())
	}
	t.Cleanup(func() { _ = unix.Unmount(k.dir, unix.MNT_DETACH) })
	return Editor{keep: k}
}

func pair(t *testing.T) labtest.Space {
	s := labtest.New(t, "ip")
	for _, line := range []string{"link add dev e0 type veth peer name e1", "link set e0 up", "link set e1 up"} {
		s.MustRun(t, "", append([]string{"ip"}, strings.Fields(line)...)...)
	}
	return s
}

// netkits makes the pair n0 and n1 where the kernel has netkit.
func netkits(t *testing.T, s labtest.Space) {
	t.Helper()
	labtest.NeedsKernel(t, 6, 8, "netkit")
	var lacks error
	s.MustDo(t, func(context.Context) error {
		kit := &netlink.Netkit{LinkAttrs: netlink.LinkAttrs{Name: "n0"}, Mode: netlink.NETKIT_MODE_L2}
		kit.SetPeerAttrs(&netlink.LinkAttrs{Name: "n1"})
		lacks = netlink.LinkAdd(kit)
		return nil
	})
	if lacks != nil {
		labtest.Lacking(t, "making a netkit pair: "+lacks.Error())
	}
	s.MustRun(t, "", "ip", "link", "set", "n0", "up")
	s.MustRun(t, "", "ip", "link", "set", "n1", "up")
}

func load(t *testing.T, kind ebpf.ProgramType, attach ebpf.AttachType, code ...asm.Instruction) *ebpf.Program {
	t.Helper()
	p, err := ebpf.NewProgram(&ebpf.ProgramSpec{Name: "nwedit", Type: kind, AttachType: attach, License: "GPL", Instructions: code})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.Close() })
	return p
}

// sendsBack is XDP that is not proven to be harmless.
func sendsBack(t *testing.T) *ebpf.Program {
	return load(t, ebpf.XDP, ebpf.AttachXDP, asm.Mov.Imm(asm.R0, 3), asm.Return())
}

// marks is tc code that sets the mark, and another number each time.
func marks(t *testing.T, mark int64) *ebpf.Program {
	return load(t, ebpf.SchedCLS, ebpf.AttachTCXIngress, asm.Mov.Imm(asm.R2, int32(mark)), asm.StoreMem(asm.R1, 8, asm.R2, asm.Word), asm.Mov.Imm(asm.R0, -1), asm.Return())
}

// sendsOn is tc code that redirects.
func sendsOn() []asm.Instruction {
	return []asm.Instruction{asm.Mov.Imm(asm.R1, 1), asm.Mov.Imm(asm.R2, 0), asm.FnRedirect.Call(), asm.Return()}
}

func index(t *testing.T, name string) int {
	l, err := netlink.LinkByName(name)
	if err != nil {
		t.Error(err)
		return 0
	}
	return l.Attrs().Index
}

// each is a way of attaching a program; it runs in the namespace.
var each = []struct {
	name   string
	attach func(t *testing.T, dir string) error
}{
	{"XDP by a link", func(t *testing.T, _ string) error {
		l, err := link.AttachXDP(link.XDPOptions{Program: sendsBack(t), Interface: index(t, "e0"), Flags: link.XDPDriverMode})
		return held(t, l, err)
	}},
	{"XDP by rtnetlink", func(t *testing.T, _ string) error {
		l, err := netlink.LinkByName("e0")
		if err != nil {
			return err
		}
		return netlink.LinkSetXdpFdWithFlags(l, sendsBack(t).FD(), unix.XDP_FLAGS_SKB_MODE)
	}},
	{"tcx by links, the first of three", func(t *testing.T, _ string) error {
		for _, mark := range []int64{1, 2, 3} {
			l, err := link.AttachTCX(link.TCXOptions{Program: marks(t, mark), Interface: index(t, "e0"), Attach: ebpf.AttachTCXIngress})
			if err := held(t, l, err); err != nil {
				return err
			}
		}
		return nil
	}},
	{"tcx without a link", func(t *testing.T, _ string) error {
		return link.RawAttachProgram(link.RawAttachProgramOptions{Target: index(t, "e0"), Program: marks(t, 4), Attach: ebpf.AttachTCXIngress})
	}},
	{"sk_lookup, pinned", func(t *testing.T, dir string) error {
		h, err := netns.Current()
		if err != nil {
			return err
		}
		defer h.Close()
		m, err := ebpf.NewMap(&ebpf.MapSpec{Type: ebpf.SockMap, KeySize: 4, ValueSize: 8, MaxEntries: 1})
		if err != nil {
			return err
		}
		defer m.Close()
		p := load(t, ebpf.SkLookup, ebpf.AttachSkLookup, asm.Mov.Imm(asm.R2, 0), asm.Mov.Imm(asm.R3, 0),
			asm.Instruction{OpCode: asm.OpCode(asm.JumpClass).SetJumpOp(asm.Call), Constant: 124}, asm.Mov.Imm(asm.R0, 1), asm.Return())
		l, err := link.AttachNetNs(h.Fd(), p)
		if err == nil {
			err = l.Pin(filepath.Join(dir, "lookup"))
		}
		return held(t, l, err)
	}},
	{"netkit by links, the first of two", func(t *testing.T, _ string) error {
		for range 2 {
			l, err := link.AttachNetkit(link.NetkitOptions{Program: load(t, ebpf.SchedCLS, ebpf.AttachNetkitPrimary, sendsOn()...), Interface: index(t, "n0"), Attach: ebpf.AttachNetkitPrimary})
			if err := held(t, l, err); err != nil {
				return err
			}
		}
		return nil
	}},
	{"netkit of the peer without a link", func(t *testing.T, _ string) error {
		return link.RawAttachProgram(link.RawAttachProgramOptions{Target: index(t, "n0"), Program: load(t, ebpf.SchedCLS, ebpf.AttachNetkitPeer, sendsOn()...), Attach: ebpf.AttachNetkitPeer})
	}},
}

func held(t *testing.T, l link.Link, err error) error {
	if err == nil {
		t.Cleanup(func() { l.Close() })
	}
	return err
}

// suspects are the rows that remediation would end.
func suspects(ctx context.Context, t *testing.T) (refs []host.Ref, ids []string) {
	space := host.Space{Netns: "test"}
	if _, err := (bpf.Source{}).Read(ctx, &space); err != nil {
		t.Error(err)
	}
	for _, r := range space.Redirects {
		if !r.Info && r.Ref != nil {
			refs, ids = append(refs, *r.Ref), append(ids, r.ID)
		}
	}
	return refs, ids
}

func places(ctx context.Context, t *testing.T, e Editor) map[string][]string {
	w, err := e.World(ctx)
	if err != nil {
		t.Error(err)
		return nil
	}
	delete(w.Places, "bpf "+bpf.Cgroup) // cgroups are everybody's
	return w.Places
}

func TestWhatIsAttachedGoesAndComesBack(t *testing.T) {
	for _, c := range each {
		t.Run(c.name, func(t *testing.T) {
			if strings.HasPrefix(c.name, "tcx") {
				labtest.NeedsKernel(t, 6, 6, "tcx")
			}
			s, e := pair(t), testEditor(t)
			if strings.HasPrefix(c.name, "netkit") {
				netkits(t, s)
			}
			if err := e.keep.open(); err != nil {
				t.Fatal(err)
			}
			s.MustDo(t, func(context.Context) error { return c.attach(t, e.keep.dir) })
			var steps []change.Step
			var before map[string][]string
			s.MustDo(t, func(ctx context.Context) error {
				before = places(ctx, t, e)
				refs, ids := suspects(ctx, t)
				if len(refs) == 0 {
					t.Fatal("nothing was found")
				}
				steps = plan(ctx, t, e, refs[:1], ids[:1])
				return run(ctx, e, steps)
			})
			s.MustDo(t, func(ctx context.Context) error {
				if after := places(ctx, t, e); same(before, after) {
					t.Errorf("nothing changed: %v", after)
				}
				return run(ctx, e, journaled(t, change.Invert(steps)))
			})
			s.MustDo(t, func(ctx context.Context) error {
				if after := places(ctx, t, e); !same(before, after) {
					t.Errorf("before %v, after %v", before, after)
				}
				return run(ctx, e, steps) // and away once more, found by another link
			})
		})
	}
}

func plan(ctx context.Context, t *testing.T, e Editor, refs []host.Ref, ids []string) []change.Step {
	steps, refused, err := e.Steps(ctx, refs, ids)
	if err != nil || len(refused) > 0 || len(steps) != 1 {
		t.Fatalf("steps %v, refused %v, %v", steps, refused, err)
	}
	if failed, err := e.Check(ctx, steps); err != nil || len(failed) > 0 {
		t.Fatalf("failed %v, %v", failed, err)
	}
	return steps
}

func run(ctx context.Context, e Editor, steps []change.Step) error {
	_, err := e.Edit(ctx, 0, steps)
	return err
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

func same(a, b map[string][]string) bool {
	for k := range a {
		if !slices.Equal(a[k], b[k]) {
			return false
		}
	}
	return len(a) == len(b)
}

func TestAPinnedLinkComesBackAtItsPath(t *testing.T) {
	s, e := pair(t), testEditor(t)
	if err := e.keep.open(); err != nil {
		t.Fatal(err)
	}
	s.MustDo(t, func(context.Context) error { return each[4].attach(t, e.keep.dir) })
	pin := filepath.Join(e.keep.dir, "lookup")
	s.MustDo(t, func(ctx context.Context) error {
		refs, ids := suspects(ctx, t)
		steps := plan(ctx, t, e, refs, ids)
		if err := run(ctx, e, steps); err != nil {
			return err
		}
		if _, err := os.Lstat(pin); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("the link's pin is still there: %v", err)
		}
		if err := run(ctx, e, change.Invert(steps)); err != nil {
			return err
		}
		l, err := link.LoadPinnedLink(pin, nil)
		if err != nil {
			return err
		}
		return l.Close()
	})
}

func TestWhatIsGoneIsStale(t *testing.T) {
	s, e := pair(t), testEditor(t)
	s.MustDo(t, func(ctx context.Context) error {
		if err := each[1].attach(t, ""); err != nil {
			return err
		}
		refs, ids := suspects(ctx, t)
		if err := run(ctx, e, plan(ctx, t, e, refs, ids)); err != nil {
			return err
		}
		if _, _, err := e.Steps(ctx, refs, ids); !errors.Is(err, change.ErrStale) {
			t.Errorf("got %v, want ErrStale", err)
		}
		return nil
	})
}

func TestAFailingStepUndoesTheOthers(t *testing.T) {
	s, e := pair(t), testEditor(t)
	s.MustDo(t, func(ctx context.Context) error {
		if err := each[1].attach(t, ""); err != nil {
			return err
		}
		before := places(ctx, t, e)
		refs, ids := suspects(ctx, t)
		steps := plan(ctx, t, e, refs, ids)
		steps = append(steps, change.Step{Action: change.Detach, Before: &change.Object{Text: "nonsense", Raw: []byte("{")}})
		if err := run(ctx, e, steps); err == nil {
			t.Error("a step that cannot be done went unnoticed")
		}
		if after := places(ctx, t, e); !same(before, after) {
			t.Errorf("before %v, after %v", before, after)
		}
		return nil
	})
}

// Planning and checking leave nothing behind: no folder, no mount, no pin.
func TestPlanningKeepsNothing(t *testing.T) {
	s, e := pair(t), testEditor(t)
	s.MustDo(t, func(ctx context.Context) error {
		if err := each[0].attach(t, ""); err != nil {
			return err
		}
		refs, ids := suspects(ctx, t)
		plan(ctx, t, e, refs, ids)
		if _, err := os.Lstat(e.keep.dir); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("%s was made: %v", e.keep.dir, err)
		}
		return nil
	})
}

func TestWithoutThePinThereIsNoWayBack(t *testing.T) {
	e := Editor{keep: Keep{dir: filepath.Join(t.TempDir(), "no-bpffs")}}
	o := &change.Object{Text: "xdp", Names: map[string]string{pinName: filepath.Join(e.keep.dir, "gone")}}
	failed, err := e.Check(context.Background(), []change.Step{{Action: change.Detach, Before: o}, {Action: change.Attach, After: o}})
	if err != nil || len(failed) != 2 {
		t.Errorf("failed %v, %v", failed, err)
	}
}

func TestTheKeepGoesWithItsLastPin(t *testing.T) {
	_, e := pair(t), testEditor(t)
	p := sendsBack(t)
	id, err := bpf.IDOf(p)
	if err != nil {
		t.Fatal(err)
	}
	path := e.keep.Path("one")
	for range 2 { // pinning the same again is success
		if err := e.keep.Program(id, path); err != nil {
			t.Fatal(err)
		}
	}
	other, err := bpf.IDOf(marks(t, 9))
	if err != nil {
		t.Fatal(err)
	}
	if err := e.keep.Program(other, path); err == nil {
		t.Error("another program's pin was taken for this one's")
	}
	e.keep.Forget(path)
	if bpf.Mounted(e.keep.dir) {
		t.Error("the bpffs is still mounted")
	}
	if _, err := os.Lstat(e.keep.dir); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the folder is still there: %v", err)
	}
}

// A cgroup's programs belong to no namespace: they are told in the starting one.
func TestCgroupProgramsGoAndComeBack(t *testing.T) {
	for name, attach := range map[string]func(cgroup *os.File, p *ebpf.Program) error{
		"by a link": func(cgroup *os.File, p *ebpf.Program) error {
			l, err := link.AttachRawLink(link.RawLinkOptions{Target: int(cgroup.Fd()), Program: p, Attach: ebpf.AttachCGroupInet4Connect})
			return held(t, l, err)
		},
		"without a link, one of several": func(cgroup *os.File, p *ebpf.Program) error {
			return link.RawAttachProgram(link.RawAttachProgramOptions{Target: int(cgroup.Fd()), Program: p, Attach: ebpf.AttachCGroupInet4Connect, Flags: unix.BPF_F_ALLOW_MULTI})
		},
		"without a link, alone": func(cgroup *os.File, p *ebpf.Program) error {
			return link.RawAttachProgram(link.RawAttachProgramOptions{Target: int(cgroup.Fd()), Program: p, Attach: ebpf.AttachCGroupInet4Connect})
		},
	} {
		t.Run(name, func(t *testing.T) {
			s, e := pair(t), testEditor(t)
			cgroup := newCgroup(t)
			rewrites := load(t, ebpf.CGroupSockAddr, ebpf.AttachCGroupInet4Connect, asm.Mov.Imm(asm.R2, 7), asm.StoreMem(asm.R1, 4, asm.R2, asm.Word), asm.Mov.Imm(asm.R0, 1), asm.Return())
			if err := attach(cgroup, rewrites); err != nil {
				t.Fatal(err)
			}
			s.MustDo(t, func(ctx context.Context) error {
				before := cgroupRows(ctx, t, cgroup.Name())
				if len(before) != 1 {
					return fmt.Errorf("rows %+v", before)
				}
				steps := plan(ctx, t, e, []host.Ref{*before[0].Ref}, []string{before[0].ID})
				if err := run(ctx, e, steps); err != nil {
					return err
				}
				if left := cgroupRows(ctx, t, cgroup.Name()); len(left) > 0 {
					t.Errorf("still there: %+v", left)
				}
				if err := run(ctx, e, journaled(t, change.Invert(steps))); err != nil {
					return err
				}
				after := cgroupRows(ctx, t, cgroup.Name())
				if len(after) != 1 || after[0].ID != before[0].ID || after[0].Ref.Fingerprint != before[0].Ref.Fingerprint {
					t.Errorf("before %+v, after %+v", before, after)
				}
				return run(ctx, e, steps)
			})
		})
	}
}

// newCgroup makes a cgroup that ends with the test.
func newCgroup(t *testing.T) *os.File {
	t.Helper()
	var dir string
	err := os.ErrNotExist
	for _, tree := range []string{"/sys/fs/cgroup/unified", "/sys/fs/cgroup"} {
		if dir, err = os.MkdirTemp(tree, "natwarden-test-"); err == nil {
			break
		}
	}
	if err != nil {
		labtest.Unmet(t, "cannot make a cgroup: "+err.Error())
	}
	t.Cleanup(func() { os.Remove(dir) })
	f, err := os.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return f
}

// cgroupRows are the rows of the programs of a cgroup.
func cgroupRows(ctx context.Context, t *testing.T, dir string) (out []host.Redirect) {
	space := host.Space{}
	if _, err := (bpf.Source{}).Read(ctx, &space); err != nil {
		t.Error(err)
	}
	for _, r := range space.Redirects {
		if r.Kind == "cgroup-connect" && r.Ref != nil && strings.Contains(r.Ref.Text, filepath.Base(dir)) {
			out = append(out, r)
		}
	}
	return out
}

// A link was cut, and the removal of its pin failed or never came: the dead pin
// makes room. One that holds another link stays.
func TestADeadPinMakesRoom(t *testing.T) {
	for name, other := range map[string]bool{"the link that was cut": false, "another link": true} {
		s, e := pair(t), testEditor(t)
		if err := e.keep.open(); err != nil {
			t.Fatal(err)
		}
		s.MustDo(t, func(context.Context) error { return each[4].attach(t, e.keep.dir) })
		pin := filepath.Join(e.keep.dir, "lookup")
		s.MustDo(t, func(ctx context.Context) error {
			refs, ids := suspects(ctx, t)
			steps := plan(ctx, t, e, refs, ids)
			dead, err := link.LoadPinnedLink(pin, nil)
			if err != nil {
				return err
			}
			defer dead.Close()
			if err := run(ctx, e, steps); err != nil {
				return err
			}
			if other {
				if dead, err = link.AttachXDP(link.XDPOptions{Program: sendsBack(t), Interface: index(t, "e0"), Flags: link.XDPGenericMode}); err != nil {
					return err
				}
				defer dead.Close()
				err = dead.Pin(pin)
			} else {
				again, errAgain := link.NewFromID(idOf(t, dead))
				if errAgain != nil {
					return errAgain
				}
				defer again.Close()
				err = again.Pin(pin)
			}
			if err != nil {
				return err
			}
			if err := run(ctx, e, change.Invert(steps)); (err != nil) != other {
				t.Errorf("%s: %v", name, err)
			}
			return nil
		})
	}
}

func idOf(t *testing.T, l link.Link) link.ID {
	t.Helper()
	info, err := l.Info()
	if err != nil {
		t.Fatal(err)
	}
	return info.ID
}
