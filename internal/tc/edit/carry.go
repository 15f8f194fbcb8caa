package edit

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"

	bpfedit "github.com/natwarden/natwarden/internal/bpf/edit"
	"github.com/natwarden/natwarden/internal/change"
	"github.com/natwarden/natwarden/internal/nlsock"
	"github.com/natwarden/natwarden/internal/tc"
)

// sendTime bounds one request where the context has no deadline.
const sendTime = 20 * time.Second

// remove deletes a filter. What is gone already is success: the host is as planned.
func (e Editor) remove(ctx context.Context, s change.Step) error {
	objects, err := tc.Filters(ctx)
	if err != nil {
		return err
	}
	o, there := find(objects, s.Before.Chain, s.Before.Fingerprint)
	if !there {
		return nil
	}
	if pin := s.Before.Names[pinName]; pin != "" && s.Reversible {
		if err := e.keep.Program(o.Program, pin); err != nil {
			return fmt.Errorf("keeping its program: %w", err)
		}
	}
	message, err := tc.Deletion(o)
	if err != nil {
		return err
	}
	err = send(ctx, unix.RTM_DELTFILTER, 0, message)
	if errors.Is(err, unix.ENOENT) || errors.Is(err, unix.ESRCH) {
		return nil
	}
	return err
}

// restore puts a filter back and proves that it reads as before. What is there
// already is success.
func (e Editor) restore(ctx context.Context, o *change.Object) error {
	objects, err := tc.Filters(ctx)
	if err != nil {
		return err
	}
	if _, there := find(objects, o.Chain, o.Fingerprint); there {
		return nil
	}
	program := -1
	if pin := o.Names[pinName]; pin != "" {
		p, err := bpfedit.Kept(pin)
		if err != nil {
			return err
		}
		defer p.Close()
		program = p.FD()
	}
	message, err := tc.Addition(ctx, o.Raw, o.Names[devName], program)
	if err != nil {
		return err
	}
	if err := send(ctx, unix.RTM_NEWTFILTER, netlink.Create|netlink.Excl, message); err != nil && !errors.Is(err, unix.EEXIST) {
		return err
	}
	if err := proven(ctx, objects, o); err != nil {
		return err
	}
	if pin := o.Names[pinName]; pin != "" {
		e.keep.Forget(pin)
	}
	return nil
}

// proven says whether the filter reads as before. One that does not takes other
// packets than it did: it is deleted again.
func proven(ctx context.Context, before []tc.Object, o *change.Object) error {
	objects, err := tc.Filters(ctx)
	if err != nil {
		return err
	}
	if _, there := find(objects, o.Chain, o.Fingerprint); there {
		return nil
	}
	err = errors.New("it was added and did not read as before")
	for _, n := range objects {
		if _, old := find(before, n.Place, n.Fingerprint); old || n.Place != o.Chain || n.Table {
			continue
		}
		message, bad := tc.Deletion(n)
		if bad == nil {
			bad = send(ctx, unix.RTM_DELTFILTER, 0, message)
		}
		err = errors.Join(err, bad)
	}
	return err
}

func send(ctx context.Context, kind netlink.HeaderType, flags netlink.HeaderFlags, data []byte) error {
	c, err := nlsock.Dial(unix.NETLINK_ROUTE, nil)
	if err != nil {
		return fmt.Errorf("opening rtnetlink: %w", err)
	}
	defer c.Close()
	deadline, ok := ctx.Deadline()
	if !ok {
		deadline = time.Now().Add(sendTime)
	}
	if err := c.SetDeadline(deadline); err != nil {
		return fmt.Errorf("opening rtnetlink: %w", err)
	}
	_ = c.SetOption(netlink.ExtendedAcknowledge, true) // the kernel's own words, where it has them
	_, err = c.Execute(netlink.Message{Header: netlink.Header{Type: kind, Flags: flags | netlink.Request | netlink.Acknowledge}, Data: data})
	return err
}
