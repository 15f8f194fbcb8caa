package remediate

import (
	"context"
	"errors"
	"time"

	"github.com/natwarden/natwarden/internal/change"
)

// usualPatience is how long a run plans, sends and verifies again, each, because
// others write faster than it reads and sends. Between two tries it rests, each time longer up to
// longestRest, so that whoever writes comes to an end.
const (
	usualPatience = 10 * time.Second
	longestRest   = 50 * time.Millisecond
	restMore      = time.Millisecond
)

// patience is how much longer a run tries again what others overtake.
type patience time.Duration

// try does again what others overtook, while there is patience. What was planned
// and is gone does not come back by waiting.
func (p *patience) try(ctx context.Context, do func() error) error {
	for rest := time.Duration(0); ; rest = min(rest+restMore, longestRest) {
		began := time.Now()
		err := do()
		if !errors.Is(err, change.ErrStale) || errors.Is(err, change.ErrGone) {
			return err
		}
		if *p -= patience(time.Since(began) + rest); *p < 0 || sleep(ctx, rest) != nil {
			return err
		}
	}
}
