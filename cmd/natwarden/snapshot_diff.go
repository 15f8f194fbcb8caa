package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"

	"github.com/natwarden/natwarden/audit"
	"github.com/natwarden/natwarden/internal/change"
	"github.com/natwarden/natwarden/internal/netns"
	nftedit "github.com/natwarden/natwarden/internal/nft/edit"
	xtedit "github.com/natwarden/natwarden/internal/xtables/edit"
	"github.com/natwarden/natwarden/remediate"
	"github.com/natwarden/natwarden/rollback"
)

// liveWord stands for the host as it is, in the place of a snapshot.
const liveWord = "live"

func newSnapshotDiff(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "diff A [B|live]",
		Short: "show what differs between two snapshots, or a snapshot and the host",
		Long: "Shows the rules, chains, sets and elements that were added, removed or moved from\n" +
			"snapshot A to B, or to the host as it is now (live, also when B is left out).\n" +
			"Counters and handles do not count. Only what both hold is compared; the rest is\n" +
			"listed. It changes nothing." +
			exitStatus(map[int]string{exitOK: "no difference", exitViolations: "something differs",
				exitBlind: "no difference found, but not all could be compared", exitError: "an error"},
				exitOK, exitError, exitViolations, exitBlind, exitUsage, exitPrivilege),
		Example: "  natwarden snapshot diff 4d3d\n  natwarden snapshot diff 4d3d 970e",
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) < 1 || len(args) > 2 {
				return usage("natwarden snapshot list lists them", "snapshot diff takes one or two snapshots")
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error { return runSnapshotDiff(cmd.Context(), a, args) },
	}
}

// pictured is one side of a comparison.
type pictured struct {
	name  string
	files map[string][]byte
}

func runSnapshotDiff(ctx context.Context, a *app, args []string) error {
	store, err := openStore(a)
	if err != nil {
		return err
	}
	defer store.Close()
	args = append(args, liveWord)[:2]
	before, err := a.pictureOf(ctx, store, args[0], nil)
	if err != nil {
		return err
	}
	now, err := a.pictureOf(ctx, store, args[1], before)
	if err != nil {
		return err
	}
	d, err := compare(before, now)
	if err != nil {
		return err
	}
	return errors.Join(a.showDiff(d), conclude(d.ExitCode))
}

// pictureOf reads a snapshot, or of the host what another one holds.
func (a *app) pictureOf(ctx context.Context, store *rollback.Store, name string, like *pictured) (*pictured, error) {
	if name != liveWord {
		snap, files, err := store.Files(name)
		if err != nil {
			return nil, err
		}
		return &pictured{snap.ID, files}, nil
	}
	if err := needRight("snapshot diff with the host", unix.CAP_NET_ADMIN); err != nil {
		return nil, err
	}
	files, err := readLike(ctx, like)
	return &pictured{liveWord, files}, err
}

// readLike reads from the host what a snapshot holds.
func readLike(ctx context.Context, like *pictured) (map[string][]byte, error) {
	var scope []rollback.Scope
	if like != nil {
		var err error
		if scope, err = scopeOf(like); err != nil {
			return nil, err
		}
	} else {
		for _, e := range editors() {
			scope = append(scope, rollback.Scope{Backend: e.Backend()})
		}
	}
	files := map[string][]byte{}
	read := []rollback.Scope{}
	for _, part := range scope {
		h, err := netns.OpenLabel(part.Netns)
		if err != nil {
			continue // it is not compared, and that is said
		}
		err = h.Do(ctx, func(ctx context.Context) error { return readPart(ctx, part, files) })
		if err = errors.Join(err, h.Close()); err != nil {
			return nil, err
		}
		read = append(read, part)
	}
	var err error
	files[rollback.ScopeName], err = rollback.WriteScope(read)
	return files, err
}

func readPart(ctx context.Context, part rollback.Scope, files map[string][]byte) error {
	for _, e := range editors() {
		if e.Backend() != part.Backend {
			continue
		}
		world, err := e.World(ctx)
		if err != nil {
			return fmt.Errorf("reading %s: %w", e.Backend(), err)
		}
		for name, data := range world.Files {
			files[rollback.SpaceFile(part.Netns, part.Backend, name)] = data
		}
	}
	return nil
}

// scopeOf gives what a snapshot was made of. One that does not say it was made
// by an earlier natwarden: of it only the files tell.
func scopeOf(p *pictured) ([]rollback.Scope, error) {
	scope, said, err := rollback.ReadScope(p.files)
	if err != nil || said {
		return scope, err
	}
	for backend, file := range listed() {
		if _, found := p.files[rollback.SpaceFile("", backend, file.name)]; found {
			scope = append(scope, rollback.Scope{Backend: backend})
		}
	}
	return scope, nil
}

// lister tells in words what a raw file of a snapshot holds.
type lister struct {
	name string
	list func([]byte) (map[string][]change.Listed, error)
}

func listed() map[string]lister {
	return map[string]lister{
		"nf_tables": {nftedit.FileName, nftedit.List},
		"x_tables":  {xtedit.FileName, xtedit.List},
	}
}

// diffed is what a comparison found.
type diffed struct {
	SchemaVersion int          `json:"schema_version"`
	ExitCode      int          `json:"exit_code"`
	Before        string       `json:"before"`
	Now           string       `json:"now"`
	Differences   []difference `json:"differences"`
	NotCompared   []string     `json:"not_compared"`
}

type difference = remediate.Difference

func compare(before, now *pictured) (*diffed, error) {
	d := &diffed{SchemaVersion: audit.SchemaVersion, Before: before.name, Now: now.name, Differences: []difference{}, NotCompared: []string{}}
	was, err := scopeOf(before)
	if err != nil {
		return nil, err
	}
	is, err := scopeOf(now)
	if err != nil {
		return nil, err
	}
	for _, part := range was {
		if !slices.Contains(is, part) {
			d.leave(part, "only "+before.name+" holds it")
			continue
		}
		if err := d.part(part, before, now); err != nil {
			return nil, err
		}
	}
	for _, part := range is {
		if !slices.Contains(was, part) {
			d.leave(part, "only "+now.name+" holds it")
		}
	}
	if len(d.NotCompared) > 0 {
		d.ExitCode = exitBlind
	}
	if len(d.Differences) > 0 {
		d.ExitCode = exitViolations
	}
	return d, nil
}

func (d *diffed) leave(part rollback.Scope, why string) {
	space := "the namespace where natwarden was started"
	if part.Netns != "" {
		space = "network namespace " + part.Netns
	}
	d.NotCompared = append(d.NotCompared, part.Backend+" of "+space+": "+why)
}

// part compares one subsystem. Of one that has no words equal bytes are no
// difference; anything else cannot be told apart from counters and clocks.
func (d *diffed) part(part rollback.Scope, before, now *pictured) error {
	l, known := listed()[part.Backend]
	if !known {
		prefix := rollback.SpaceFile(part.Netns, part.Backend, "")
		if !maps.EqualFunc(below(before.files, prefix), below(now.files, prefix), bytes.Equal) {
			d.leave(part, "it is not the same, and natwarden cannot say in words what differs")
		}
		return nil
	}
	file := rollback.SpaceFile(part.Netns, part.Backend, l.name)
	var sides [2]map[string][]change.Listed
	for i, p := range []*pictured{before, now} {
		data, found := p.files[file]
		if !found {
			continue // nothing of the subsystem was there
		}
		var err error
		if sides[i], err = l.list(data); err != nil {
			return fmt.Errorf("reading %s of %s: %w", file, p.name, err)
		}
	}
	for _, found := range change.Compare(sides[0], sides[1]) {
		d.Differences = append(d.Differences, difference{Netns: part.Netns, Backend: part.Backend, Difference: found})
	}
	return nil
}

func below(files map[string][]byte, prefix string) map[string][]byte {
	out := map[string][]byte{}
	for name, data := range files {
		if strings.HasPrefix(name, prefix) {
			out[name] = data
		}
	}
	return out
}

func (a *app) showDiff(d *diffed) error {
	if a.json() {
		return writeJSON(a.out, d)
	}
	p := a.page()
	switch d.ExitCode {
	case exitOK:
		p.paragraph(green, "SAME: no difference from "+d.Before+" to "+d.Now+".")
	case exitBlind:
		p.paragraph(yellow, "INCOMPLETE: no difference found from "+d.Before+" to "+d.Now+", but not all could be compared.")
	default:
		p.paragraph(yellow, "DIFFERENT: "+count(len(d.Differences), "difference")+" from "+d.Before+" to "+d.Now+".")
	}
	p.differences(d.Differences)
	if len(d.NotCompared) > 0 {
		p.heading("Not compared")
	}
	for _, n := range d.NotCompared {
		p.item(n)
	}
	return nil
}

// differences lists what differs, place by place.
func (p *page) differences(all []difference) {
	last := ""
	for _, f := range all[:p.cut(len(all))] {
		at := strings.TrimPrefix(f.Netns+": ", ": ") + f.Place
		if at != last {
			p.heading(clean(at))
		}
		last = at
		p.item(diffWords(f.Difference))
	}
	p.more(len(all))
}

// diffWords is one difference. What stands in no order has no number.
func diffWords(f change.Difference) string {
	was, is := fmt.Sprintf(" (was %d)", f.Was), fmt.Sprintf(" (at %d)", f.Is)
	if words := strings.Fields(strings.TrimPrefix(f.Place, "legacy ")); len(words) < 3 || strings.HasPrefix(words[2], "@") {
		was, is = "", ""
	}
	switch f.Kind {
	case change.Removed:
		return "- removed" + was + ": " + f.Text
	case change.Added:
		return "+ added" + is + ": " + f.Text
	}
	return fmt.Sprintf("~ moved (from %d to %d): %s", f.Was, f.Is, f.Text)
}
