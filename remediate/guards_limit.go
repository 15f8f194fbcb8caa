package remediate

import (
	"context"
	"fmt"
)

// overLimit holds the number of redirects that a plan ends against the
// policy's limits.
func (o Options) overLimit(_ context.Context, p *plan) []string {
	ended := len(p.endedRows())
	if o.RemoveAtMost == nil || ended <= *o.RemoveAtMost {
		return nil
	}
	return []string{fmt.Sprintf("%d redirects would be ended, the policy's limits allow %d", ended, *o.RemoveAtMost)}
}
