package main

import (
	"encoding/json"
	"fmt"
	"runtime"
	"runtime/debug"

	"github.com/spf13/cobra"

	"github.com/natwarden/natwarden/audit"
)

// version is the version of this source.
const version = "0.1.0-dev"

// tool says which natwarden this is, for reports.
func tool() audit.Tool {
	t := audit.Tool{Name: "natwarden", Version: version}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return t
	}
	dirty := false
	for _, s := range info.Settings {
		switch s.Key {
		case "vcs.revision":
			t.Commit = s.Value
		case "vcs.modified":
			dirty = s.Value == "true"
		}
	}
	if dirty {
		t.Commit += "+changes"
	}
	return t
}

func newVersion(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "version",
		Short: "say which natwarden this is",
		Long:  "Says which natwarden this is." + exitStatus(nil, exitOK, exitError),
		Args:  noArgs,
		RunE:  func(*cobra.Command, []string) error { return runVersion(a) },
	}
}

func runVersion(a *app) error {
	t := tool()
	if a.json() {
		return json.NewEncoder(a.out).Encode(map[string]any{"schema_version": audit.SchemaVersion, "tool": t})
	}
	commit := t.Commit
	if commit == "" {
		commit = "unknown"
	}
	_, err := fmt.Fprintf(a.out, "natwarden %s (commit %s, %s %s/%s)\n", t.Version, commit, runtime.Version(), runtime.GOOS, runtime.GOARCH)
	return err
}
