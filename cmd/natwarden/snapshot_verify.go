package main

import (
	"github.com/spf13/cobra"

	"github.com/natwarden/natwarden/audit"
	"github.com/natwarden/natwarden/rollback"
)

func newSnapshotVerify(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "verify [SNAPSHOT|FILE]",
		Short: "prove that a snapshot is as it was written",
		Long: "Compares every byte of a snapshot, or of all of them, with the manifest and names\n" +
			"each file that is changed, missing or too many. FILE is one of snapshot export,\n" +
			"with a slash or a dot in it; what it holds as a courtesy is not proven." +
			exitStatus(map[int]string{exitOK: "all as they were written", exitViolations: "something is changed, missing or too many", exitError: "an error"},
				exitOK, exitError, exitViolations, exitUsage),
		Args: atMostOne("snapshot"),
		RunE: func(_ *cobra.Command, args []string) error { return runSnapshotVerify(a, args) },
	}
}

// proof is what was found about one snapshot.
type proof struct {
	ID     string            `json:"id"`
	Damage []rollback.Damage `json:"damage"`
}

func runSnapshotVerify(a *app, args []string) error {
	if len(args) == 1 && isArchive(args[0]) {
		return a.verifyArchive(args[0])
	}
	store, err := openStore(a)
	if err != nil {
		return err
	}
	defer store.Close()
	ids := args
	if len(ids) == 0 {
		all, err := store.List()
		if err != nil {
			return err
		}
		for _, s := range all {
			ids = append(ids, s.ID)
		}
	}
	proofs, code := []proof{}, exitOK
	for _, id := range ids {
		damage, err := store.Verify(id)
		if err != nil {
			return err
		}
		if len(damage) > 0 {
			code = exitViolations
		}
		proofs = append(proofs, proof{id, damage})
	}
	if err := a.showProofs(proofs, code); err != nil {
		return err
	}
	return conclude(code)
}

// verifyArchive proves the one file of an exported snapshot.
func (a *app) verifyArchive(path string) error {
	archive, damage, err := openArchive(path)
	if err != nil {
		return err
	}
	code := exitOK
	if len(damage) > 0 {
		code = exitViolations
	}
	if err := a.showProofs([]proof{{archive.ID, damage}}, code); err != nil {
		return err
	}
	return conclude(code)
}

func (a *app) showProofs(proofs []proof, code int) error {
	if a.json() {
		return writeJSON(a.out, struct {
			SchemaVersion int     `json:"schema_version"`
			ExitCode      int     `json:"exit_code"`
			Snapshots     []proof `json:"snapshots"`
		}{audit.SchemaVersion, code, proofs})
	}
	p := a.page()
	if code == exitOK {
		p.paragraph(green, "INTACT: "+count(len(proofs), "snapshot")+" as written.")
		return nil
	}
	p.paragraph(red, "CHANGED: not every snapshot is as it was written.")
	for _, pr := range proofs {
		for _, d := range pr.Damage {
			p.item(pr.ID + " " + d.File + " " + d.Why)
		}
	}
	return nil
}
