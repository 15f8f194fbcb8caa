package relay

import (
	"context"
	"errors"
	"fmt"
	"io/fs"

	"golang.org/x/sys/unix"

	"github.com/natwarden/natwarden/internal/host"
	"github.com/natwarden/natwarden/internal/netns"
)

// connectionsElsewhere reads the connections of the network namespaces in which
// the processes live that listen here, where that is another one: a process may
// take its sockets along.
func connectionsElsewhere(ctx context.Context, listeners []host.Listener) ([]connection, error) {
	var here unix.Stat_t
	if err := unix.Stat("/proc/thread-self/ns/net", &here); err != nil {
		return nil, fmt.Errorf("reading the network namespace (is /proc mounted?): %w", err)
	}
	seen := map[netns.ID]bool{{Dev: uint64(here.Dev), Ino: here.Ino}: true}
	var out []connection
	asked := map[int]bool{}
	for i := range listeners {
		for j := range listeners[i].Processes {
			p := &listeners[i].Processes[j]
			if asked[p.PID] {
				continue
			}
			asked[p.PID] = true
			path := fmt.Sprintf("/proc/%d/ns/net", p.PID)
			var st unix.Stat_t
			id := netns.ID{}
			if unix.Stat(path, &st) == nil {
				id = netns.ID{Dev: uint64(st.Dev), Ino: st.Ino}
			}
			if id.Ino == 0 || seen[id] {
				continue
			}
			seen[id] = true
			more, err := connectionsAt(ctx, path)
			if err != nil && !errors.Is(err, fs.ErrNotExist) {
				return nil, fmt.Errorf("looking at the connections of process %d in its own network namespace: %w", p.PID, err)
			}
			out = append(out, more...)
		}
	}
	return out, nil
}

func connectionsAt(ctx context.Context, path string) (out []connection, err error) {
	h, err := netns.Open(path)
	if err != nil {
		return nil, err
	}
	defer h.Close()
	err = h.Do(ctx, func(ctx context.Context) error {
		out, err = readConnections(ctx)
		return err
	})
	return out, err
}
