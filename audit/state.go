package audit

import (
	"context"
	"fmt"

	"github.com/natwarden/natwarden/internal/host"
)

// Look reads every space through every source, as Run does, and judges
// nothing. What could not be read stands in Blind; only a cancelled context is an error.
func Look(ctx context.Context, in Input) (*host.State, error) {
	state := read(ctx, in)
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("reading the host: %w", err)
	}
	return state, nil
}

// SocketsRead says whether all listeners were read.
func SocketsRead(s *host.State) bool { return socketsRead(s) }
