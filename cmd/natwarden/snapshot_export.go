package main

import (
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"

	"github.com/natwarden/natwarden/internal/nft"
	nftedit "github.com/natwarden/natwarden/internal/nft/edit"
	"github.com/natwarden/natwarden/rollback"
)

func newSnapshotExport(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "export SNAPSHOT FILE",
		Short: "write a snapshot to one portable file",
		Long: "Writes a snapshot, proven, to a new tar file (mode 0600; one that is there is not\n" +
			"touched) that snapshot verify and snapshot show read on any host. As a courtesy it\n" +
			"holds the rules as text that nft -f and iptables-restore load, of those tables for\n" +
			"which that can be made; the raw files are what counts." +
			exitStatus(nil, exitOK, exitError, exitUsage),
		Example: "  natwarden snapshot export 4d3d /root/before.tar\n  natwarden snapshot verify /root/before.tar",
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) != 2 {
				return usage("natwarden snapshot list lists them", "snapshot export needs a snapshot and a new file")
			}
			return nil
		},
		RunE: func(_ *cobra.Command, args []string) error { return runSnapshotExport(a, args[0], args[1]) },
	}
}

func runSnapshotExport(a *app, id, path string) error {
	store, err := openStore(a)
	if err != nil {
		return err
	}
	defer store.Close()
	snap, files, err := store.Files(id)
	if err != nil {
		return err
	}
	if err := store.Export(snap.ID, path, courtesies(files)); err != nil {
		return fmt.Errorf("exporting snapshot %s: %w", snap.ID, err)
	}
	if !a.json() {
		a.page().paragraph("", fmt.Sprintf("Snapshot %s: %s in %s.", snap.ID, count(len(files), "file"), path))
		return nil
	}
	return writeJSON(a.out, struct {
		SchemaVersion int    `json:"schema_version"`
		Snapshot      string `json:"snapshot"`
		File          string `json:"file"`
	}{1, snap.ID, path})
}

// courtesies are texts that other programs load.
func courtesies(files map[string][]byte) map[string][]byte {
	out := map[string][]byte{}
	for name, data := range files {
		if stem, is := strings.CutSuffix(name, nftedit.FileName); is {
			d, err := nftedit.ReadFile(data)
			if err != nil {
				continue // of another kind of machine: the raw file is all there is
			}
			for file, text := range nft.Loadable(d, nft.Env{Now: time.Now()}) {
				out[stem+file] = []byte(text)
			}
		}
		if strings.HasSuffix(name, ".save") {
			out[name] = data
		}
	}
	return out
}

// openArchive reads the archive of a snapshot, where an argument names a file.
func openArchive(path string) (*rollback.Archive, []rollback.Damage, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, nil, fmt.Errorf("reading the archive of a snapshot: %w", err)
	}
	defer f.Close()
	if st, err := f.Stat(); err != nil || !st.Mode().IsRegular() {
		return nil, nil, fmt.Errorf("reading the archive of a snapshot: %s is no regular file (%v)", path, err)
	}
	return rollback.ReadArchive(f)
}

// isArchive says whether a word is a file and not the id of a snapshot: ids have
// neither a slash nor a dot.
func isArchive(word string) bool { return strings.ContainsAny(word, "/.") }
