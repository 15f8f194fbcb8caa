package edit

import (
	"context"
	"errors"
	"fmt"
	"os"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/link"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/natwarden/natwarden/internal/bpf"
	"github.com/natwarden/natwarden/internal/change"
	"github.com/natwarden/natwarden/internal/retry"
)

// detach takes a program away from its place. What is gone already is success:
// the host is as planned.
func (e Editor) detach(ctx context.Context, planned bpf.Attachment, s change.Step) error {
	a, ok, err := still(ctx, planned)
	if err != nil || !ok {
		return err
	}
	if s.Reversible {
		if err := e.keep.Program(a.Program, s.Before.Names[pinName]); err != nil {
			return fmt.Errorf("keeping the program: %w", err)
		}
	}
	if err := take(a); err != nil {
		return err
	}
	if _, there, err := still(ctx, planned); err != nil || there {
		return errors.Join(errors.New("it is still attached"), err)
	}
	return nil
}

// take detaches. An XDP link tells only a device number, which another
// namespace has as well: where the kernel lets the program go without its link, the link was not of this device.
func take(a bpf.Attachment) error {
	if a.Link == 0 {
		return detachProgram(a)
	}
	if a.Kind == bpf.XDP {
		if err := setXDP(a, -1); !errors.Is(err, unix.EBUSY) {
			return err
		}
	}
	return detachLink(a)
}

// still finds the attachment again: after a rollback and in another process
// its link and device have other numbers.
func still(ctx context.Context, was bpf.Attachment) (bpf.Attachment, bool, error) {
	all, err := bpf.Detachable(ctx)
	if err != nil {
		return was, false, err
	}
	for _, a := range all {
		if a.Fingerprint() == was.Fingerprint() && a.Program == was.Program {
			return a, true, nil
		}
	}
	return was, false, nil
}

// detachLink cuts the link, whoever holds it, and removes its pins: a dead
// link at a path would only puzzle its owner.
func detachLink(a bpf.Attachment) error {
	l, err := linkOf(link.ID(a.Link))
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("opening link %d: %w", a.Link, err)
	}
	defer l.Close()
	info, err := l.Info()
	if err != nil {
		return fmt.Errorf("reading link %d: %w", a.Link, err)
	}
	if uint32(info.Program) != a.Program {
		return fmt.Errorf("link %d holds another program by now: %w", a.Link, change.ErrStale)
	}
	if err := retry.Call(l.Detach); err != nil {
		return fmt.Errorf("cutting link %d: %w", a.Link, err)
	}
	for _, path := range a.LinkPins {
		if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
			return fmt.Errorf("removing the link's pin: %w", err)
		}
	}
	return nil
}

func detachProgram(a bpf.Attachment) error {
	if a.Kind == bpf.XDP {
		return setXDP(a, -1)
	}
	p, err := programOf(a.Program)
	if err != nil {
		return fmt.Errorf("opening eBPF program %d: %w", a.Program, err)
	}
	defer p.Close()
	target, done, err := targetOf(a)
	if err != nil {
		return err
	}
	defer done()
	o := link.RawDetachProgramOptions{Target: target, Program: p, Attach: a.AttachType()}
	return retry.Call(func() error { return link.RawDetachProgram(o) })
}

// linkOf and programOf open what the kernel numbers, again where a signal
// interrupts: the library does not.
func linkOf(id link.ID) (link.Link, error) {
	return retry.Get(func() (link.Link, error) { return link.NewFromID(id) })
}

func programOf(id uint32) (*ebpf.Program, error) {
	return retry.Get(func() (*ebpf.Program, error) { return ebpf.NewProgramFromID(ebpf.ProgramID(id)) })
}

// device finds an interface by its name.
func device(name string) (netlink.Link, error) {
	l, err := retry.Get(func() (netlink.Link, error) { return netlink.LinkByName(name) })
	if err != nil {
		return nil, fmt.Errorf("finding interface %s: %w", name, err)
	}
	return l, nil
}

// targetOf gives what an attachment hangs on: an interface number, or an open
// cgroup.
func targetOf(a bpf.Attachment) (target int, done func(), err error) {
	if a.Cgroup != "" {
		fd, err := retry.Open(func() (int, error) { return unix.Open(a.Cgroup, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0) })
		if err != nil {
			return 0, nil, fmt.Errorf("opening cgroup %s: %w", a.Cgroup, err)
		}
		return fd, func() { unix.Close(fd) }, nil
	}
	index, err := indexOf(a)
	return index, func() {}, err
}

// indexOf finds the device by its name: after a restart it has another number.
func indexOf(a bpf.Attachment) (int, error) {
	l, err := device(a.Dev)
	if err != nil {
		return 0, err
	}
	return l.Attrs().Index, nil
}

// The modes of XDP: XDP_FLAGS_* of include/uapi/linux/if_link.h.
func xdpMode(hook string) int {
	switch hook {
	case "generic":
		return unix.XDP_FLAGS_SKB_MODE
	case "offload":
		return unix.XDP_FLAGS_HW_MODE
	}
	return unix.XDP_FLAGS_DRV_MODE
}

// setXDP attaches a program by rtnetlink; fd -1 takes it away.
func setXDP(a bpf.Attachment, fd int) error {
	l, err := device(a.Dev)
	if err != nil {
		return err
	}
	if err := retry.Call(func() error { return netlink.LinkSetXdpFdWithFlags(l, fd, xdpMode(a.Hook)) }); err != nil {
		return fmt.Errorf("setting XDP of interface %s: %w", a.Dev, err)
	}
	return nil
}
