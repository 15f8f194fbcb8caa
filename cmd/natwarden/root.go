package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/natwarden/natwarden/internal/change"
)

// Options are the flags that every verb takes.
type Options struct {
	Policy   string
	Netns    []string
	StateDir string
	Output   string
	Color    string
	Quiet    bool
	Verbose  bool
}

const defaultStateDir = "/var/lib/natwarden"

// AddFlags defines the flags.
func (o *Options) AddFlags(f *pflag.FlagSet) {
	f.StringVar(&o.Policy, "policy", "", "policy `FILE`, or \"builtin\" (default "+defaultPolicy+")")
	f.StringArrayVar(&o.Netns, "netns", nil, "network namespace: current, all, NAME, PATH or pid:N; may be repeated")
	f.StringVar(&o.StateDir, "state-dir", defaultStateDir, "where snapshots and journals are kept")
	f.StringVarP(&o.Output, "output", "o", "text", "`FORMAT` of what goes to standard output: text or json")
	f.StringVar(&o.Color, "color", "auto", "colours in the text: auto, always or never")
	f.BoolVarP(&o.Quiet, "quiet", "q", false, "only the verdict, and no notes")
	f.BoolVarP(&o.Verbose, "verbose", "v", false, "long lists in full, and what is only information")
}

func (o *Options) check() error {
	if !slices.Contains([]string{"text", "json"}, o.Output) {
		return usage("write -o text or -o json", "%q is no output format", o.Output)
	}
	if !slices.Contains([]string{"auto", "always", "never"}, o.Color) {
		return usage("write --color auto, always or never", "%q is no choice of colour", o.Color)
	}
	return nil
}

// json says whether the result is for a program.
func (o *Options) json() bool { return o.Output == "json" }

// app is what every verb works with.
type app struct {
	*streams
	Options
	carried string // the change that this run carried out or took back, if any
	args    []string

	planFile string   // SHA-256 of the plan file that is carried out
	approved []string // who signed it
}

// execute runs one command line and gives its exit code.
func execute(ctx context.Context, s *streams, args []string) int {
	a := &app{streams: s, args: args}
	root := newRoot(a)
	root.SetArgs(args)
	err := root.ExecuteContext(ctx)
	if flushed := s.flush(); flushed != nil && (err == nil || errors.As(err, new(verdict))) {
		err = a.unheard(err, flushed)
	}
	a.tell(err)
	return exitCode(err)
}

// unheard is the end of a run whose result could not be written: an error, for a
// report that is cut short must not look whole. But where the host was changed the
// exit code goes on telling how: 1 would say that nothing was.
func (a *app) unheard(result, flushed error) error {
	if a.carried == "" {
		return flushed
	}
	a.note("%s", clean(flushed.Error()))
	a.note("change %s is not affected by that: the exit code tells how it ended", a.carried)
	return result
}

// tell says on standard error what went wrong and what to do next.
func (a *app) tell(err error) {
	if err == nil || errors.As(err, new(verdict)) {
		return
	}
	for _, line := range strings.Split(err.Error(), "\n") {
		a.note("%s", clean(line))
	}
	hint := hintFor(err)
	if a.planFile != "" && errors.Is(err, change.ErrStale) {
		hint = "nothing was changed: make the plan anew with natwarden remediate --dry-run --plan-out FILE"
	}
	if hint != "" {
		fmt.Fprintf(a.notes, "hint: %s\n", clean(hint))
	}
}

func newRoot(a *app) *cobra.Command {
	root := &cobra.Command{
		Use:   "natwarden",
		Short: "who answers on each port of this server, and is that authorized?",
		Long: "natwarden shows who really answers on each port of this Linux server, judges it by\n" +
			"an allowlist, and ends what is not authorized in a way that can be taken back.\n\n" +
			"Begin with: natwarden demo" +
			exitStatus(nil, exitError, exitUsage, exitBusy, exitPrivilege, exitPolicy) +
			"\n  More stand in the help of each command.",
		Args:              unknownCommand,
		RunE:              func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
		PersistentPreRunE: func(*cobra.Command, []string) error { return a.check() },
		SilenceErrors:     true,
		SilenceUsage:      true,
		CompletionOptions: cobra.CompletionOptions{DisableDefaultCmd: true},

		SuggestionsMinimumDistance: 2,
	}
	root.SetOut(a.out)
	root.SetErr(a.notes)
	root.SetIn(a.in)
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		return usage(cmd.CommandPath()+" --help shows the flags", "%w", err)
	})
	a.AddFlags(root.PersistentFlags())
	root.AddCommand(newDemo(a), newAudit(a), newExplain(a), newPolicy(a), newRemediate(a), newVerify(a), newRollback(a), newRecover(a),
		newSnapshot(a), newVersion(a), newCompletion(a))
	root.AddCommand(newConfirm(a), newWatchdog(a), newLog(a))
	return root
}

// unknownCommand is the check of the words after a command that has only
// sub-commands.
func unknownCommand(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	hint := cmd.CommandPath() + " --help lists the commands"
	if near := cmd.SuggestionsFor(args[0]); len(near) > 0 {
		hint = "did you mean " + cmd.CommandPath() + " " + near[0] + "?"
	}
	return usage(hint, "%q is no command of %s", args[0], cmd.CommandPath())
}

// noArgs is the check of a command that takes no words.
func noArgs(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	return usage(cmd.CommandPath()+" --help shows how", "%s takes no %q", cmd.CommandPath(), args[0])
}

// group is a command that has only sub-commands.
func group(use, short string, subs ...*cobra.Command) *cobra.Command {
	cmd := &cobra.Command{Use: use, Short: short, Long: short + exitStatus(nil, exitUsage), Args: unknownCommand,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return usage(cmd.CommandPath()+" --help lists them", "%s needs a sub-command", cmd.CommandPath())
		}}
	cmd.AddCommand(subs...)
	return cmd
}

// colour says whether the text carries colours: NO_COLOR is the convention of
// https://no-color.org, a flag said in so many words wins over it.
func (a *app) colour() bool {
	switch a.Color {
	case "always":
		return true
	case "never":
		return false
	}
	return a.terminal && os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb"
}
