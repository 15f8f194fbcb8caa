package bpf

import (
	"context"
	"errors"
	"fmt"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/link"
	"golang.org/x/sys/unix"

	"github.com/natwarden/natwarden/internal/netns"
	"github.com/natwarden/natwarden/internal/retry"
)

// links walks all links of the kernel and gives attachments the link that
// holds them. Netfilter links are found only here: the kernel does not say to which
// namespace they belong, so they are told in the starting one.
func (l *listing) links(ctx context.Context) {
	inode := ownInode()
	var it link.Iterator
	defer it.Close()
	for next(&it) {
		if err := ctx.Err(); err != nil {
			l.unread("links", err)
			return
		}
		info, err := retry.Get(it.Link.Info)
		if err != nil {
			continue // it was detached between the two questions
		}
		l.join(info, inode)
	}
	if err := it.Err(); err != nil && !unsupported(err) {
		l.unread("links", err)
	}
}

// next goes on to the next link, also where a signal interrupts: the iterator
// keeps where it stands, and the error too.
func next(it *link.Iterator) bool {
	more := it.Next()
	for !more && errors.Is(it.Err(), unix.EINTR) {
		*it = link.Iterator{ID: it.ID}
		more = it.Next()
	}
	return more
}

// nextProgram is the id of the program after one.
func nextProgram(id ebpf.ProgramID) (ebpf.ProgramID, error) {
	return retry.Get(func() (ebpf.ProgramID, error) { return ebpf.ProgramGetNextID(id) })
}

// openProgram opens a program by its id.
func openProgram(id ebpf.ProgramID) (*ebpf.Program, error) {
	return retry.Get(func() (*ebpf.Program, error) { return ebpf.NewProgramFromID(id) })
}

// ownInode is the inode number of the thread's network namespace; 0 where it
// cannot be read, which no namespace has.
func ownInode() uint64 {
	h, err := netns.Current()
	if err != nil {
		return 0
	}
	defer h.Close()
	id, err := h.ID()
	if err != nil {
		return 0
	}
	return id.Ino
}

func (l *listing) join(info *link.Info, inode uint64) {
	switch info.Type {
	case link.XDPType:
		if x := info.XDP(); x != nil {
			l.hold(info, func(a *Attachment) bool { return a.Kind == XDP && a.Ifindex == x.Ifindex })
		}
	case link.NetNsType:
		if n := info.NetNs(); n != nil && uint64(n.NetnsInode) == inode {
			l.hold(info, func(a *Attachment) bool { return a.Type == uint32(n.AttachType) && a.Dev == "" && a.Cgroup == "" })
		}
	case link.CgroupType:
		if c := info.Cgroup(); c != nil {
			l.hold(info, func(a *Attachment) bool {
				return a.Cgroup != "" && a.Type == uint32(c.AttachType) && cgroupID(a.Cgroup) == c.CgroupId
			})
		}
	case link.NetfilterType:
		if l.starting {
			l.netfilter(info)
		}
	}
}

// hold gives the link to the attachment of its program; a second link that
// could be the one is counted.
func (l *listing) hold(info *link.Info, fits func(*Attachment) bool) {
	for i := range l.found {
		a := &l.found[i]
		switch {
		case a.Program != uint32(info.Program) || !fits(a):
		case a.Link == 0:
			a.Link = uint32(info.ID)
		case a.Link != uint32(info.ID):
			a.Rivals++
		}
	}
}

func (l *listing) netfilter(info *link.Info) {
	hookName := "an unknown hook"
	if n := info.Netfilter(); n != nil {
		names := []string{"prerouting", "input", "forward", "output", "postrouting"}
		if int(n.Hook) < len(names) {
			hookName = names[n.Hook]
		}
		hookName = fmt.Sprintf("family %d %s priority %d", n.ProtocolFamily, hookName, n.Priority)
	}
	l.found = append(l.found, Attachment{Kind: Netfilter, Hook: hookName, Type: uint32(ebpf.AttachNetfilter),
		Program: uint32(info.Program), Link: uint32(info.ID)})
}
