package remediate

import (
	"context"
	"errors"

	"github.com/natwarden/natwarden/internal/change"
	"github.com/natwarden/natwarden/internal/host"
)

// Run ends the violations among rows that lie in spaces and that editors can
// end, and says what it did and what it left. The result is never nil and
// carries the exit code; the error says in words why it is 1, 4, 5, 7 or 75.
func Run(ctx context.Context, rows []host.Redirect, blind []host.Blind, spaces []Space, editors []change.Editor, o Options) (*Result, error) {
	return &Result{SchemaVersion: 1, Status: Failed, ExitCode: exitError, Steps: []Step{}, Left: []Left{}, Blind: []host.Blind{}}, errors.ErrUnsupported
}

// Rollback puts back what a change took away. id is a change id or a prefix of
// one; "" is the newest change. If that is rolled back already, it does nothing.
// The result is never nil and carries the exit code; the error says in words why it is 1, 5, 7 or 75.
func Rollback(ctx context.Context, id string, resolve Resolve, editors []change.Editor, o Options) (*Result, error) {
	return &Result{SchemaVersion: 1, Status: Failed, ExitCode: exitError, Steps: []Step{}, Left: []Left{}, Blind: []host.Blind{}}, errors.ErrUnsupported
}
