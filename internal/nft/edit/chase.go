package edit

import (
	"context"
	"errors"
	"fmt"

	"golang.org/x/sys/unix"

	"github.com/natwarden/natwarden/internal/change"
	"github.com/natwarden/natwarden/internal/nft"
)

// Chase deletes rules without reading all the others again: on a host where
// others commit all the time that hardly ever comes through. It asks for each rule and
// table by itself and sends the batch in the same generation. A table that was made
// anew has another number; a rule that was put in the place of another (nft replace)
// has its handle, but another content.
func (e editor) Chase(ctx context.Context, tables map[string]uint64, steps []change.Step) (change.Outcome, error) {
	until, ctx := ctx, context.WithoutCancel(ctx) // what is sent is sent, and its outcome must be known
	c, err := nft.Open(ctx)
	if err != nil {
		return change.Outcome{}, err
	}
	defer c.Close()
	h := &hunt{batch: newBatch(ctx, &view{}), conn: c, tables: map[tableID]uint64{}}
	for i, s := range steps {
		if err := h.add(i, s, tables); err != nil {
			return change.Outcome{}, err
		}
	}
	if err := h.prepare(c); err != nil {
		return change.Outcome{}, err
	}
	for {
		a, err := h.once(ctx)
		switch {
		case errors.Is(err, change.ErrGone), err != nil && !errors.Is(err, change.ErrStale):
			return change.Outcome{}, err
		case err != nil && until.Err() != nil:
			return change.Outcome{}, err
		case len(a.failed) > 0:
			return change.Outcome{}, fmt.Errorf("%w: %w", refused(steps, a.failed), change.ErrGone)
		case err == nil:
			return change.Outcome{Notes: a.notes}, nil
		}
	}
}

// hunt is a batch that deletes rules, with what must be as it was when it is sent.
type hunt struct {
	*batch
	conn   *nft.Conn
	tables map[tableID]uint64 // their numbers
	rules  []*change.Object
}

// tableID names a table for the kernel.
type tableID struct {
	family uint8
	name   string
}

// add adds the message that deletes the rule of a step. A rule with anonymous
// sets or chains is not known by what it shows itself.
func (h *hunt) add(number int, s change.Step, tables map[string]uint64) error {
	o := s.Before
	if o == nil || s.After != nil || o.Kind != kindRule || o.Backend != Backend || o.Handle == 0 || len(o.Parts) > 0 {
		return fmt.Errorf("step %d does not delete a plain rule: %w", number+1, change.ErrStale)
	}
	proto, handle := protocol(o.Family), tables[fmt.Sprintf("%s %s", o.Family, o.Table)]
	if proto == 0 || handle == 0 {
		return fmt.Errorf("table %s %s has no number: %w", o.Family, o.Table, change.ErrStale)
	}
	h.tables[tableID{proto, o.Table}] = handle
	h.rules = append(h.rules, o)
	attrs := nft.AppendText(nil, unix.NFTA_RULE_TABLE, o.Table)
	attrs = nft.AppendText(attrs, unix.NFTA_RULE_CHAIN, o.Chain)
	attrs = nft.AppendU64(attrs, unix.NFTA_RULE_HANDLE, o.Handle)
	h.batch.add(number, unix.NFT_MSG_DELRULE, 0, proto, attrs)
	return nil
}

// once looks at the tables and rules and sends the batch in the same generation.
func (h *hunt) once(ctx context.Context) (answers, error) {
	generation, err := h.conn.Generation()
	if err != nil {
		return answers{}, err
	}
	for id, handle := range h.tables {
		now, err := h.conn.TableHandle(id.family, id.name)
		if err != nil {
			return answers{}, err
		}
		if now != handle {
			return answers{}, stale(fmt.Sprintf("table %s %s is gone, or was made anew", familyName(id.family), id.name))
		}
	}
	for _, o := range h.rules {
		if err := h.same(o); err != nil {
			return answers{}, err
		}
	}
	h.view.generation = generation
	return h.sendBy(ctx, h.conn, true)
}

// same says whether a rule is there as it was read.
func (h *hunt) same(o *change.Object) error {
	proto := protocol(o.Family)
	r, err := h.conn.RuleAt(proto, o.Table, o.Chain, o.Handle)
	if err != nil {
		return err
	}
	if r == nil {
		return stale(objectName(o) + " is gone")
	}
	t, c := &nft.Table{Family: proto, Name: o.Table}, &nft.Chain{Name: o.Chain}
	if r.Handle != o.Handle || nft.Fingerprint(t, c, r) != o.Fingerprint {
		return stale(objectName(o) + " was replaced")
	}
	return nil
}
