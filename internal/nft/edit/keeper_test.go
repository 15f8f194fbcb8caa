package edit

import (
	"bytes"
	"context"
	"testing"

	"github.com/natwarden/natwarden/internal/change"
	"github.com/natwarden/natwarden/internal/nft"
)

// What is kept between calls must stay as the kernel gave it.
func TestWhatIsKeptIsNotChanged(t *testing.T) {
	s := withIPTables(t)
	s.MustDo(t, func(ctx context.Context) error {
		e := New().(editor)
		d, err := e.keeper.Read(ctx)
		if err != nil {
			return err
		}
		before := WriteFile(d)
		steps := stepsOf(ctx, t, refsTo(d, everyRule))
		if _, err := e.Check(ctx, steps); err != nil {
			return err
		}
		mustEdit(ctx, t, e, 0, steps)
		mustEdit(ctx, t, e, 0, change.Invert(steps))
		if !bytes.Equal(before, WriteFile(d)) {
			t.Error("a dump that is shared was changed")
		}
		return nil
	})
}

func TestWhatIsKeptEndsWithItsGeneration(t *testing.T) {
	s := withIPTables(t)
	var k nft.Keeper
	read := func() (d *nft.Dump) {
		s.MustDo(t, func(ctx context.Context) (err error) { d, err = k.Read(ctx); return err })
		return d
	}
	first := read()
	if read() != first {
		t.Error("the same generation was read twice")
	}
	s.MustRun(t, "", "nft", "add table ip another")
	if second := read(); second == first || second.Generation == first.Generation {
		t.Error("a commit went unnoticed")
	}
}
