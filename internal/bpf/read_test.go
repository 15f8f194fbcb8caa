package bpf

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/link"

	"github.com/natwarden/natwarden/internal/host"
	"github.com/natwarden/natwarden/internal/lab/labtest"
	"github.com/natwarden/natwarden/internal/netns"
)

// pair makes a namespace with the devices e0 and e1, both up.
func pair(t *testing.T) labtest.Space {
	s := labtest.New(t, "ip")
	for _, argv := range [][]string{{"link", "add", "dev", "e0", "type", "veth", "peer", "name", "e1"}, {"link", "set", "e0", "up"}, {"link", "set", "e1", "up"}} {
		s.MustRun(t, "", append([]string{"ip"}, argv...)...)
	}
	return s
}

// indexOf is a device's number in the namespace of the calling thread.
func indexOf(ctx context.Context, name string) (int, error) {
	devs, err := devices(ctx)
	for _, d := range devs {
		if d.name == name {
			return int(d.index), nil
		}
	}
	return 0, errors.Join(err, errors.New("no device "+name))
}

// attachAll attaches one program at each kind of place; what it makes ends
// with the test.
func attachAll(t *testing.T, s labtest.Space) {
	t.Helper()
	labtest.NeedsKernel(t, 6, 6, "tcx")
	xdp := loaded(t, ebpf.XDP, ebpf.AttachXDP, writingXDP())
	tcx := loaded(t, ebpf.SchedCLS, ebpf.AttachTCXIngress, returning(-1))
	lookup := loaded(t, ebpf.SkLookup, ebpf.AttachSkLookup, returning(1))
	s.MustDo(t, func(ctx context.Context) error {
		index, err := indexOf(ctx, "e0")
		if err != nil {
			return err
		}
		a, err1 := link.AttachXDP(link.XDPOptions{Program: xdp, Interface: index, Flags: link.XDPGenericMode})
		b, err2 := link.AttachTCX(link.TCXOptions{Program: tcx, Interface: index, Attach: ebpf.AttachTCXIngress})
		h, err3 := netns.Current()
		if err := errors.Join(err1, err2, err3); err != nil {
			return err
		}
		defer h.Close()
		c, err := link.AttachNetNs(h.Fd(), lookup)
		if err != nil {
			return err
		}
		t.Cleanup(func() { a.Close(); b.Close(); c.Close() })
		return nil
	})
}

func rows(t *testing.T, s labtest.Space, label string) ([]host.Redirect, host.Reading) {
	t.Helper()
	space := &host.Space{Netns: label}
	var reading host.Reading
	s.MustDo(t, func(ctx context.Context) (err error) {
		reading, err = Source{}.Read(ctx, space)
		return err
	})
	return space.Redirects, reading
}

func TestWhatIsAttachedIsFoundWhereItIs(t *testing.T) {
	s, other := pair(t), pair(t)
	attachAll(t, s)
	found, reading := rows(t, s, "here")
	var got []string
	for _, r := range found {
		got = append(got, r.Kind+" "+r.State)
		if r.Ref == nil || r.Tag == "" || !strings.Contains(strings.Join(r.Evidence, " "), "attached through link") {
			t.Errorf("%s: ref %v, tag %q, evidence %q", r.Kind, r.Ref, r.Tag, r.Evidence)
		}
		if r.Info != (r.Kind != "xdp") {
			t.Errorf("%s: info %v: %q", r.Kind, r.Info, r.Why)
		}
	}
	if want := "xdp unknown, tcx active, sk-lookup active"; strings.Join(got, ", ") != want {
		t.Errorf("found %q, want %q", got, want)
	}
	if reading.Objects != 3 || len(reading.Blind) > 0 {
		t.Errorf("reading %+v", reading)
	}
	if there, _ := rows(t, other, "other"); len(there) != 0 {
		t.Errorf("another namespace shows %v", there)
	}
}

// An id is the same for the same program at the same place, whatever its
// numbers are.
func TestIDsStay(t *testing.T) {
	s := pair(t)
	attachAll(t, s)
	one, _ := rows(t, s, "here")
	again := pair(t)
	attachAll(t, again)
	two, _ := rows(t, again, "here")
	for i := range one {
		if one[i].ID != two[i].ID || one[i].Ref.Fingerprint != two[i].Ref.Fingerprint {
			t.Errorf("%s: %s and %s", one[i].Kind, one[i].ID, two[i].ID)
		}
	}
}

func TestADeviceThatIsDownIsLatent(t *testing.T) {
	s := pair(t)
	attachAll(t, s)
	s.MustRun(t, "", "ip", "link", "set", "e0", "down")
	found, _ := rows(t, s, "here")
	if len(found) == 0 || found[0].Kind != "xdp" || found[0].State != host.Latent {
		t.Errorf("found %+v", found)
	}
}

// Two XDP links at devices of one number: the kernel does not say whose is whose.
func TestXDPLinksOfOneNumberAreRivals(t *testing.T) {
	s, other := pair(t), pair(t)
	p := loaded(t, ebpf.XDP, ebpf.AttachXDP, writingXDP())
	for _, space := range []labtest.Space{s, other} {
		space.MustDo(t, func(ctx context.Context) error {
			index, err := indexOf(ctx, "e0")
			if err != nil {
				return err
			}
			l, err := link.AttachXDP(link.XDPOptions{Program: p, Interface: index, Flags: link.XDPGenericMode})
			if err == nil {
				t.Cleanup(func() { l.Close() })
			}
			return err
		})
	}
	s.MustDo(t, func(ctx context.Context) error {
		all, _, err := Attachments(ctx, false)
		if len(all) != 1 || all[0].Rivals != 1 {
			t.Errorf("found %+v", all)
		}
		return err
	})
}

// newCgroup makes a cgroup that ends with the test.
func newCgroup(t *testing.T) string {
	t.Helper()
	mounts, err := mountsOf("cgroup2")
	if err != nil || len(mounts) == 0 {
		labtest.Unmet(t, "needs a cgroup2 tree")
	}
	dir, err := os.MkdirTemp(mounts[0], "natwarden-test-")
	if err != nil {
		labtest.Unmet(t, "cannot make a cgroup: "+err.Error())
	}
	t.Cleanup(func() { os.Remove(dir) })
	return dir
}

func TestCgroupProgramsAreToldOnceInTheStartingNamespace(t *testing.T) {
	s := pair(t)
	dir := newCgroup(t)
	p := loaded(t, ebpf.CGroupSockAddr, ebpf.AttachCGroupInet4Connect, returning(1))
	l, err := link.AttachCgroup(link.CgroupOptions{Path: dir, Attach: ebpf.AttachCGroupInet4Connect, Program: p})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	ours := func(label string) (n int) {
		found, _ := rows(t, s, label)
		for _, r := range found {
			if r.Kind == "cgroup-connect" && strings.Contains(r.Evidence[0], filepath.Base(dir)) {
				n++
				if !r.Info || r.Direction != "outbound" || !strings.Contains(strings.Join(r.Evidence, " "), "link") {
					t.Errorf("row %+v", r)
				}
			}
		}
		return n
	}
	if n := ours(""); n != 1 {
		t.Errorf("%d rows in the starting namespace, want 1", n)
	}
	if n := ours("other"); n != 0 {
		t.Errorf("%d rows in another, want 0", n)
	}
}

func TestMountpointsAreUnescaped(t *testing.T) {
	if got := unescape(`/a\040b\134c`); got != `/a b\c` {
		t.Errorf("got %q", got)
	}
}

// FuzzDevice feeds torn device messages.
func FuzzDevice(f *testing.F) {
	f.Add(make([]byte, 16))
	f.Add(append(make([]byte, 16), 12, 0, 43, 0, 8, 0, 4, 0, 1, 0, 0, 0))
	f.Fuzz(func(t *testing.T, b []byte) {
		if _, err := decodeDevice(b); err == nil && len(b) < 16 {
			t.Error("a torn message was taken")
		}
	})
}
