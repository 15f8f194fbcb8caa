package bpf

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"

	"golang.org/x/sys/unix"

	"github.com/natwarden/natwarden/internal/host"
)

// listing is what stands in one namespace.
type listing struct {
	found []Attachment
	blind []host.Blind
	// starting is true in the namespace in which natwarden was started: what
	// belongs to no namespace (cgroups, netfilter links) is told there, once.
	starting bool
}

func (l *listing) unread(what string, err error) {
	l.blind = append(l.blind, host.Blind{Source: "bpf", What: what, Why: err.Error()})
}

// Attachments lists the programs that stand in the namespace of the calling
// thread; in the starting one those of cgroups as well. Blind is what could not be listed.
func Attachments(ctx context.Context, starting bool) ([]Attachment, []host.Blind, error) {
	devs, err := devices(ctx)
	if err != nil {
		return nil, nil, err
	}
	l := &listing{starting: starting}
	for _, d := range devs {
		l.xdp(d)
		l.chains(d)
	}
	l.netns()
	if starting {
		l.unbound(ctx)
	}
	if len(l.found) > 0 || starting {
		l.links(ctx)
	}
	l.name()
	return l.found, l.blind, ctx.Err()
}

// name fills in tag and name of every program, and who runs after whom.
func (l *listing) name() {
	known := map[uint32]*Program{}
	for i := range l.found {
		a := &l.found[i]
		p, ok := known[a.Program]
		if !ok {
			var err error
			if p, err = readProgram(a.Program); err != nil && !errors.Is(err, os.ErrNotExist) {
				l.unread(a.Place(), err)
			}
			known[a.Program] = p
		}
		if p != nil {
			a.Tag, a.Name = p.Tag, p.Name
		}
	}
	for i := range l.found {
		if i+1 < len(l.found) && l.found[i+1].Place() == l.found[i].Place() {
			l.found[i].Next = l.found[i+1].Tag
		}
	}
	l.found = slices.DeleteFunc(l.found, func(a Attachment) bool { return known[a.Program] == nil && a.Tag == "" })
}

// unsupported says whether the kernel has no such hook: then nothing is attached.
func unsupported(err error) bool {
	return errors.Is(err, unix.EINVAL) || errors.Is(err, unix.EOPNOTSUPP) || errors.Is(err, unix.ENODEV) || errors.Is(err, unix.ENOSYS) || errors.Is(err, errNotSupported)
}

// noKernel says whether the error is that of a kernel without the bpf system call.
func noKernel(err error) bool { return errors.Is(err, unix.ENOSYS) }

func reading(what string, err error) error { return fmt.Errorf("reading %s: %w", what, err) }
