package edit

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/link"

	"github.com/natwarden/natwarden/internal/bpf"
	"github.com/natwarden/natwarden/internal/change"
	"github.com/natwarden/natwarden/internal/netns"
	"github.com/natwarden/natwarden/internal/retry"
)

// attach puts a kept program back to its place. What is there already is
// success. A link is made anew and pinned, since nobody holds it.
func (e Editor) attach(ctx context.Context, a bpf.Attachment, o *change.Object) ([]string, error) {
	if _, there, err := still(ctx, a); err != nil || there {
		return nil, err
	}
	p, err := Kept(o.Names[pinName])
	if err != nil {
		return nil, err
	}
	defer p.Close()
	var notes []string
	if a.Link != 0 {
		notes, err = attachLink(ctx, a, p, o.Names[linkName])
	} else {
		notes, err = attachProgram(ctx, a, p)
	}
	if err != nil {
		return notes, err
	}
	if _, there, err := still(ctx, a); err != nil || !there {
		return notes, fmt.Errorf("%s was attached and is not there", a.Text())
	}
	e.keep.Forget(o.Names[pinName])
	return notes, nil
}

func attachLink(ctx context.Context, a bpf.Attachment, p *ebpf.Program, pin string) ([]string, error) {
	if err := os.MkdirAll(filepath.Dir(pin), 0o700); err != nil {
		return nil, fmt.Errorf("making the folder of the link's pin: %w", err)
	}
	l, err := retry.Get(func() (link.Link, error) { return newLink(ctx, a, p) })
	if err != nil {
		return nil, fmt.Errorf("making a new link: %w", err)
	}
	defer l.Close()
	if err := pinAt(l, pin, a.Link); err != nil {
		return nil, err
	}
	for _, other := range a.LinkPins[min(1, len(a.LinkPins)):] {
		again, err := retry.Get(l.Info)
		if err != nil {
			return nil, fmt.Errorf("reading the new link: %w", err)
		}
		if err := pinAgain(again.ID, other, a.Link); err != nil {
			return nil, err
		}
	}
	return []string{a.Text() + " is attached by a new link, pinned at " + pin}, nil
}

// pinAgain pins a link at a further path: a handle of its own, because Pin
// moves the pin of one.
func pinAgain(id link.ID, path string, dead uint32) error {
	l, err := linkOf(id)
	if err != nil {
		return fmt.Errorf("opening the new link: %w", err)
	}
	defer l.Close()
	return pinAt(l, path, dead)
}

// pinAt pins a link. Where the one that was cut is still pinned there, because the
// removal of its pin failed or never came, that dead pin goes; the kernel
// never gives the number of a link again. Any other pin stays.
func pinAt(l link.Link, path string, dead uint32) error {
	err := retry.Call(func() error { return l.Pin(path) })
	if errors.Is(err, os.ErrExist) && pinnedLink(path) == link.ID(dead) {
		if err = os.Remove(path); err == nil {
			err = retry.Call(func() error { return l.Pin(path) })
		}
	}
	if err != nil {
		return fmt.Errorf("pinning the new link at %s: %w", path, err)
	}
	return nil
}

// pinnedLink is the number of the link that is pinned at a path; 0, which no
// link has, where that cannot be read.
func pinnedLink(path string) link.ID {
	l, err := retry.Get(func() (link.Link, error) { return link.LoadPinnedLink(path, nil) })
	if err != nil {
		return 0
	}
	defer l.Close()
	info, err := retry.Get(l.Info)
	if err != nil {
		return 0
	}
	return info.ID
}

func newLink(ctx context.Context, a bpf.Attachment, p *ebpf.Program) (link.Link, error) {
	if a.Kind == bpf.SkLookup {
		h, err := netns.Current()
		if err != nil {
			return nil, err
		}
		defer h.Close()
		return link.AttachNetNs(h.Fd(), p)
	}
	target, done, err := targetOf(a)
	if err != nil {
		return nil, err
	}
	defer done()
	switch a.Kind {
	case bpf.XDP:
		return link.AttachXDP(link.XDPOptions{Program: p, Interface: target, Flags: link.XDPAttachFlags(xdpMode(a.Hook))})
	case bpf.TCX:
		return link.AttachTCX(link.TCXOptions{Interface: target, Program: p, Attach: a.AttachType(), Anchor: before(ctx, a)})
	case bpf.Netkit:
		return link.AttachNetkit(link.NetkitOptions{Interface: target, Program: p, Attach: a.AttachType(), Anchor: before(ctx, a)})
	case bpf.Cgroup:
		return link.AttachRawLink(link.RawLinkOptions{Target: target, Program: p, Attach: a.AttachType()})
	}
	return nil, fmt.Errorf("%q is no kind of link", a.Kind)
}

// before finds the program that ran after this one; nil (at the end) where it
// is gone.
func before(ctx context.Context, a bpf.Attachment) link.Anchor {
	if a.Next == "" {
		return nil
	}
	all, err := bpf.Detachable(ctx)
	if err != nil {
		return nil
	}
	for _, o := range all {
		if o.Place() == a.Place() && o.Tag == a.Next {
			if o.Link != 0 {
				return link.BeforeLinkByID(link.ID(o.Link))
			}
			return link.BeforeProgramByID(ebpf.ProgramID(o.Program))
		}
	}
	return nil
}

// allowMulti is BPF_F_ALLOW_MULTI (include/uapi/linux/bpf.h): several programs
// at one cgroup.
const allowMulti = 2

func attachProgram(ctx context.Context, a bpf.Attachment, p *ebpf.Program) ([]string, error) {
	if a.Kind == bpf.XDP {
		return nil, setXDP(a, p.FD())
	}
	target, done, err := targetOf(a)
	if err != nil {
		return nil, err
	}
	defer done()
	o := link.RawAttachProgramOptions{Target: target, Program: p, Attach: a.AttachType()}
	if a.Kind != bpf.Cgroup {
		o.Anchor = before(ctx, a)
		return nil, retry.Call(func() error { return link.RawAttachProgram(o) })
	}
	o.Flags = a.Flags
	if a.Flags&allowMulti == 0 && shared(ctx, a) {
		return nil, errors.New("another program took its place, and attaching this one would end that")
	}
	return nil, retry.Call(func() error { return link.RawAttachProgram(o) })
}

// shared says whether other programs stand at the same hook of the cgroup:
// attaching without the flag would replace them.
func shared(ctx context.Context, a bpf.Attachment) bool {
	all, err := bpf.Detachable(ctx)
	if err != nil {
		return true
	}
	for _, o := range all {
		if o.Place() == a.Place() {
			return true
		}
	}
	return false
}
