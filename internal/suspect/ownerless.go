package suspect

import (
	"context"
	"fmt"
	"slices"

	"github.com/natwarden/natwarden/internal/host"
	"github.com/natwarden/natwarden/internal/netns"
	"github.com/natwarden/natwarden/internal/proc"
	"github.com/natwarden/natwarden/internal/sock"
)

// ownerless looks at listeners that no process seemed to hold.
type ownerless struct {
	spaces []*host.Space
	in     []Space
	labels map[netns.ID]string
	kernel *kernel
	parked *parked
	blind  []host.Blind
}

// look takes a second look before it says anything: servers end, and hand
// their sockets on, between the list of sockets and the walk of /proc.
func (o *ownerless) look(ctx context.Context) ([]host.Blind, error) {
	var again []int
	for i, s := range o.spaces {
		if slices.ContainsFunc(s.Listeners, isUnheld) {
			again = append(again, i)
		}
	}
	if len(again) == 0 {
		return nil, nil
	}
	if err := o.second(ctx, again); err != nil {
		return o.blind, err
	}
	o.kernel = readKernel(o.spaces)
	for _, i := range again {
		o.space(ctx, i)
	}
	return o.blind, ctx.Err()
}

func isUnheld(l host.Listener) bool { return l.Unheld }

// second reads the sockets of the namespaces again and looks for their
// processes. Only those that both looks found unheld stay that.
func (o *ownerless) second(ctx context.Context, again []int) error {
	fresh := make([]*host.Space, 0, len(again))
	for _, i := range again {
		s := &host.Space{Netns: o.spaces[i].Netns}
		err := o.in[i].Enter(ctx, func(ctx context.Context) (err error) {
			s.Listeners, _, err = sock.Read(ctx)
			return err
		})
		if err != nil {
			return fmt.Errorf("reading the sockets of network namespace %q again: %w", s.Netns, err)
		}
		fresh = append(fresh, s)
	}
	more, err := proc.Attach(ctx, fresh, o.labels)
	o.blind = append(o.blind, more...)
	if err != nil {
		return err
	}
	for n, i := range again {
		replace(o.spaces[i], fresh[n])
	}
	proc.Identify(o.spaces)
	return nil
}

// replace takes over what the second look says of the listeners that the first
// found unheld: one that has gone meanwhile answers no more.
func replace(s, fresh *host.Space) {
	now := map[uint64]*host.Listener{}
	for i := range fresh.Listeners {
		now[fresh.Listeners[i].Inode] = &fresh.Listeners[i]
	}
	s.Listeners = slices.DeleteFunc(s.Listeners, func(l host.Listener) bool {
		return l.Unheld && l.Inode != 0 && now[l.Inode] == nil
	})
	for i := range s.Listeners {
		if l := &s.Listeners[i]; l.Unheld && l.Inode != 0 {
			l.Processes, l.Unheld = now[l.Inode].Processes, now[l.Inode].Unheld
		}
	}
}

// space says of each listener of a namespace that is still unheld what it is:
// the kernel's own, not to be told, or ownerless.
func (o *ownerless) space(ctx context.Context, i int) {
	s := o.spaces[i]
	shared := sharedOutside(o.in[i].ID, o.home())
	for n := range s.Listeners {
		l := &s.Listeners[n]
		if !l.Unheld {
			continue
		}
		own, maybe := o.kernel.owns(l)
		switch {
		case own != "":
			l.Notes = append(l.Notes, "the kernel itself answers: "+own)
		case shared != "" || maybe != "":
			o.blind = append(o.blind, host.Blind{Source: "processes", What: fmt.Sprintf("who holds %s %s port %d", l.Proto, l.Address, l.Port), Why: first(shared, maybe)})
		default:
			s.AddRedirects(o.row(ctx, l))
		}
	}
}

// home is the identity of the namespace in which natwarden was started.
func (o *ownerless) home() netns.ID {
	for i, s := range o.spaces {
		if s.Netns == "" {
			return o.in[i].ID
		}
	}
	return netns.ID{}
}

func first(a, b string) string {
	if a != "" {
		return a
	}
	return b
}

// row is the redirect of a listener that nobody holds. Where exactly one
// process keeps descriptors in flight, ending it is the remedy.
func (o *ownerless) row(ctx context.Context, l *host.Listener) host.Redirect {
	r := socketRow("ownerless", l)
	r.Why = []string{"it listens, and no process has it open"}
	r.Evidence = []string{"every process was looked into, twice", "not one of the services by which the kernel itself listens"}
	if o.parked == nil {
		o.parked = findParked(ctx, o.labels)
	}
	for i := range o.parked.holders {
		p := &o.parked.holders[i]
		r.Evidence = append(r.Evidence, fmt.Sprintf("%s (pid %d, %s) keeps open files in messages on a unix socket that nobody has received", p.Name, p.PID, p.Exe))
	}
	r.Advice = "find who keeps the socket: a message on a unix socket that is never received, or a ring of io_uring; ending that process closes it"
	if len(o.parked.holders) == 1 {
		p := o.parked.holders[0]
		r.Process = &p
		r.Ref = processRef(&p)
	}
	return r
}

// processRef is the process as what to end.
func processRef(p *host.Process) *host.Ref {
	life, err := proc.LifeOf(p.PID)
	if err != nil {
		return nil
	}
	return &host.Ref{Backend: "process", Handle: uint64(p.PID), Text: fmt.Sprintf("%s (pid %d)", p.Name, p.PID), Fingerprint: life.Fingerprint()}
}
