package bpf

import (
	"context"
	"errors"
	"testing"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/cilium/ebpf/link"
	"github.com/vishvananda/netlink"

	"github.com/natwarden/natwarden/internal/host"
	"github.com/natwarden/natwarden/internal/lab/labtest"
)

// netkits makes the pair n0 and n1 in s, n1 in peer, where the kernel has netkit.
func netkits(t *testing.T, s, peer labtest.Space) {
	t.Helper()
	labtest.NeedsKernel(t, 6, 8, "netkit")
	var lacks error
	s.MustDo(t, func(context.Context) error {
		kit := &netlink.Netkit{LinkAttrs: netlink.LinkAttrs{Name: "n0"}, Mode: netlink.NETKIT_MODE_L2}
		kit.SetPeerAttrs(&netlink.LinkAttrs{Name: "n1", Namespace: netlink.NsFd(peer.Handle().Fd())})
		lacks = netlink.LinkAdd(kit)
		return nil
	})
	if lacks != nil {
		labtest.Lacking(t, "making a netkit pair: "+lacks.Error())
	}
	s.MustRun(t, "", "ip", "link", "set", "n0", "up")
	peer.MustRun(t, "", "ip", "link", "set", "n1", "up")
}

// The programs of both ends belong to the primary one; the other end cannot be
// asked, and need not be.
func TestNetkitProgramsAreFoundAtThePrimary(t *testing.T) {
	s, peer := labtest.New(t, "ip"), labtest.New(t, "ip")
	netkits(t, s, peer)
	redirecting := asm.Instructions{asm.Mov.Imm(asm.R1, 1), asm.Mov.Imm(asm.R2, 0), asm.FnRedirect.Call(), asm.Return()}
	at := map[ebpf.AttachType]*ebpf.Program{
		ebpf.AttachNetkitPrimary: loaded(t, ebpf.SchedCLS, ebpf.AttachNetkitPrimary, redirecting),
		ebpf.AttachNetkitPeer:    loaded(t, ebpf.SchedCLS, ebpf.AttachNetkitPeer, redirecting),
	}
	s.MustDo(t, func(ctx context.Context) error {
		index, err := indexOf(ctx, "n0")
		for hook, p := range at {
			l, bad := link.AttachNetkit(link.NetkitOptions{Interface: index, Program: p, Attach: hook})
			if err = errors.Join(err, bad); bad == nil {
				t.Cleanup(func() { l.Close() })
			}
		}
		return err
	})
	found, reading := rows(t, s, "here")
	if len(found) != 2 || len(reading.Blind) > 0 {
		t.Fatalf("rows %+v, blind %v", found, reading.Blind)
	}
	for _, r := range found {
		if r.Kind != "tcx" || r.Info || r.State != host.Unknown || r.Ref == nil || r.Ref.Table != Netkit {
			t.Errorf("row %+v", r)
		}
	}
	if there, reading := rows(t, peer, "peer"); len(there) > 0 || len(reading.Blind) > 0 {
		t.Errorf("the other end: rows %+v, blind %v", there, reading.Blind)
	}
}
