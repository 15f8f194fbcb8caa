package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"

	"github.com/natwarden/natwarden/audit"
	"github.com/natwarden/natwarden/internal/netns"
	"github.com/natwarden/natwarden/rollback"
)

func newSnapshot(a *app) *cobra.Command {
	return group("snapshot", "Keep, list, compare and prove pictures of this host's rules.", newSnapshotTake(a), newSnapshotList(a), newSnapshotShow(a), newSnapshotVerify(a),
		newSnapshotDiff(a), newSnapshotPrune(a), newSnapshotExport(a))
}

func newSnapshotTake(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "take",
		Short: "keep a picture of this host's rules as they are",
		Long: "Keeps the raw bytes and the readable text of every rule of the namespaces in scope\n" +
			"in the state directory, named by its own content. It changes no rule. A remediate\n" +
			"takes one by itself." +
			exitStatus(nil, exitOK, exitError, exitUsage, exitBusy, exitPrivilege),
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return runSnapshotTake(cmd.Context(), a) },
	}
}

func runSnapshotTake(ctx context.Context, a *app) (err error) {
	if err := needRight("snapshot take", unix.CAP_NET_ADMIN); err != nil {
		return err
	}
	a.tellUnfinished()
	s, err := a.openSpaces(ctx, netns.Scope{})
	if err != nil {
		return err
	}
	defer s.close()
	if len(s.blind) > 0 {
		b := s.blind[0]
		return hinted(fmt.Errorf("a namespace cannot be read: %s: %s", b.What, b.Why), "name only what there is, with --netns")
	}
	files, ids, err := picture(ctx, s)
	if err != nil {
		return err
	}
	store, err := rollback.Create(a.StateDir)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, store.Close()) }()
	id, err := keep(store, files, ids)
	if err != nil {
		return err
	}
	return a.showSnapshotID(id, len(files))
}

// picture reads the files of a snapshot: of each namespace and subsystem what
// its editor would need to put everything back.
func picture(ctx context.Context, s *spaces) (map[string][]byte, []rollback.Netns, error) {
	files, ids := map[string][]byte{}, []rollback.Netns(nil)
	var scope []rollback.Scope
	for _, space := range s.found {
		ids = append(ids, rollback.Netns{Label: space.Label, Dev: space.ID.Dev, Ino: space.ID.Ino})
		for _, e := range editors() {
			scope = append(scope, rollback.Scope{Netns: space.Label, Backend: e.Backend()})
			err := space.Handle.Do(ctx, func(ctx context.Context) error {
				world, err := e.World(ctx)
				if err != nil {
					return fmt.Errorf("reading %s: %w", e.Backend(), err)
				}
				for name, data := range world.AllFiles() {
					files[rollback.SpaceFile(space.Label, e.Backend(), name)] = data
				}
				return nil
			})
			if err != nil {
				return nil, nil, err
			}
		}
	}
	var err error
	files[rollback.ScopeName], err = rollback.WriteScope(scope)
	return files, ids, err
}

func keep(store *rollback.Store, files map[string][]byte, ids []rollback.Netns) (id string, err error) {
	now := time.Now()
	lock, err := store.Lock(now)
	if err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, lock.Release()) }()
	origin, err := rollback.Here(version, now, ids)
	if err != nil {
		return "", err
	}
	return store.Take(origin, files)
}

func (a *app) showSnapshotID(id string, files int) error {
	if a.json() {
		return writeJSON(a.out, struct {
			SchemaVersion int    `json:"schema_version"`
			Snapshot      string `json:"snapshot"`
		}{audit.SchemaVersion, id})
	}
	a.page().paragraph("", fmt.Sprintf("Snapshot %s: %s in %s.", id, count(files, "file"), a.StateDir))
	return nil
}

func newSnapshotList(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "list",
		Short: "list the snapshots of this host",
		Long:  "Lists the snapshots in the state directory, oldest first." + exitStatus(nil, exitOK, exitError, exitUsage),
		Args:  noArgs,
		RunE:  func(*cobra.Command, []string) error { return runSnapshotList(a) },
	}
}

func runSnapshotList(a *app) error {
	list := []rollback.Snapshot{}
	store, err := rollback.Open(a.StateDir)
	switch {
	case errors.Is(err, rollback.ErrNoState):
		// Nothing was ever kept: an empty list, and nothing is made for it.
	case err != nil:
		return err
	default:
		defer store.Close()
		if list, err = store.List(); err != nil {
			return err
		}
	}
	if a.json() {
		return writeJSON(a.out, struct {
			SchemaVersion int                 `json:"schema_version"`
			Snapshots     []rollback.Snapshot `json:"snapshots"`
		}{audit.SchemaVersion, list})
	}
	p := a.page()
	if len(list) == 0 {
		p.paragraph("", "No snapshot in "+a.StateDir+".")
	}
	for _, s := range list {
		p.snapshotLine(s)
	}
	return nil
}

func (p *page) snapshotLine(s rollback.Snapshot) {
	if s.Damage != "" {
		p.paragraph(red, s.ID+"  DAMAGED: "+s.Damage)
		return
	}
	o := s.Manifest.Origin
	p.paragraph("", fmt.Sprintf("%s  %s  %s", s.ID, o.Time.Format(time.RFC3339), count(len(s.Manifest.Files), "file")))
}

func newSnapshotShow(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "show SNAPSHOT|ARCHIVE [FILE]",
		Short: "show what a snapshot holds, or one of its files",
		Long: "Shows what a snapshot holds. With FILE it writes that file to standard output as it\n" +
			"is, after its content was proven. ARCHIVE is a file of snapshot export, with a slash\n" +
			"or a dot in its name." + exitStatus(nil, exitOK, exitError, exitUsage),
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) < 1 || len(args) > 2 {
				return usage("natwarden snapshot list lists them", "snapshot show needs a snapshot, and takes one of its files")
			}
			return nil
		},
		RunE: func(_ *cobra.Command, args []string) error { return runSnapshotShow(a, args) },
	}
}

func runSnapshotShow(a *app, args []string) error {
	if isArchive(args[0]) {
		return a.showArchive(args)
	}
	store, err := openStore(a)
	if err != nil {
		return err
	}
	defer store.Close()
	if len(args) == 2 {
		data, err := store.File(args[0], args[1])
		if err != nil {
			return err
		}
		return a.showFile(data)
	}
	s, err := store.Show(args[0])
	if err != nil {
		return err
	}
	return a.showSnapshot(s)
}

// showArchive shows what an exported snapshot holds. What is damaged is not shown.
func (a *app) showArchive(args []string) error {
	archive, damage, err := openArchive(args[0])
	if err != nil {
		return err
	}
	if len(args) == 1 {
		return a.showSnapshot(&archive.Snapshot)
	}
	for _, d := range damage {
		if d.File == args[1] {
			return fmt.Errorf("snapshot %s: %s %s", archive.ID, d.File, d.Why)
		}
	}
	data, found := archive.Files[args[1]]
	if !found {
		data, found = archive.Courtesy[strings.TrimPrefix(args[1], "courtesy/")]
	}
	if !found {
		return fmt.Errorf("snapshot %s has no file %q", archive.ID, args[1])
	}
	return a.showFile(data)
}

func (a *app) showFile(data []byte) error {
	if a.terminal {
		return a.showOnTerminal(data)
	}
	_, err := a.out.Write(data)
	return err
}

func (a *app) showSnapshot(s *rollback.Snapshot) error {
	if a.json() {
		return writeJSON(a.out, s)
	}
	p := a.page()
	p.snapshotLine(*s)
	o := s.Manifest.Origin
	p.field("host", o.Host)
	p.field("kernel", o.Kernel)
	p.field("natwarden", o.Version)
	for _, f := range s.Manifest.Files {
		p.field(count(int(f.Size), "byte"), f.Name)
	}
	return nil
}

// showOnTerminal shows a file line by line so that nothing in it acts on the
// terminal.
func (a *app) showOnTerminal(data []byte) error {
	for line := range strings.Lines(string(data)) {
		if _, err := a.out.WriteString(clean(strings.TrimSuffix(line, "\n")) + "\n"); err != nil {
			return err
		}
	}
	return nil
}

// openStore opens the state directory for reading.
func openStore(a *app) (*rollback.Store, error) {
	store, err := rollback.Open(a.StateDir)
	if errors.Is(err, rollback.ErrNoState) {
		return nil, hinted(err, "nothing was kept or changed yet; --state-dir names another place")
	}
	return store, err
}
