// Package changetest is what the tests of editors share; it is no part of
// natwarden, which is a program and not a library.
package changetest

import (
	"context"
	"testing"

	"github.com/natwarden/natwarden/internal/change"
)

// Tables gives the tables that files of a World hold, by family and name ("ip nat").
func Tables(ctx context.Context, t *testing.T, e change.Editor, files map[string][]byte) map[string]change.Table {
	t.Helper()
	all, err := e.(change.Restorer).Tables(ctx, files)
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]change.Table{}
	for _, table := range all {
		out[string(table.Object.Family)+" "+table.Object.Table] = table
	}
	return out
}

// Restoring makes the steps from the tables of now to those of before.
func Restoring(now, before map[string]change.Table, names ...string) (steps []change.Step) {
	for _, name := range names {
		steps = append(steps, change.Step{Action: change.Restore, Reversible: true, Before: object(now, name), After: object(before, name)})
	}
	return steps
}

func object(of map[string]change.Table, name string) *change.Object {
	if table, there := of[name]; there {
		return &table.Object
	}
	return nil
}
