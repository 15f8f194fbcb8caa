package remediate

import (
	"context"
	"fmt"

	"github.com/natwarden/natwarden/internal/host"
	"github.com/natwarden/natwarden/internal/netns"
	"github.com/natwarden/natwarden/rollback"
)

// within runs work in the namespace. A zero Handle is the caller's own
// namespace: nothing is entered.
func (s Space) within(ctx context.Context, work func(context.Context) error) error {
	if s.Handle == (netns.Handle{}) {
		return work(ctx)
	}
	return s.Handle.Do(ctx, work)
}

// identity is what identifies the namespace until the host restarts.
func (s Space) identity() (rollback.Netns, error) {
	h := s.Handle
	if h == (netns.Handle{}) {
		var err error
		if h, err = netns.Current(); err != nil {
			return rollback.Netns{}, err
		}
		defer h.Close()
	}
	id, err := h.ID()
	return rollback.Netns{Label: s.Label, Dev: id.Dev, Ino: id.Ino, First: isFirst(id)}, err
}

// close lets go of a namespace that Resolve opened.
func (s Space) close() {
	if s.Handle != (netns.Handle{}) {
		_ = s.Handle.Close() // reading ended long ago; nothing is lost
	}
}

// listeners reads the listeners of the namespace; nil where nobody can.
func (s Space) listeners(ctx context.Context, o Options) (out []host.Listener, err error) {
	if o.Listeners == nil {
		return nil, nil
	}
	err = s.within(ctx, func(ctx context.Context) error {
		out, err = o.Listeners(ctx)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("reading the listeners of network namespace %s: %w", name(s.Label), err)
	}
	return append([]host.Listener{}, out...), nil // "nobody listens" is an answer too
}
