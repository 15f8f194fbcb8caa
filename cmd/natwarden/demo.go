package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"

	"github.com/natwarden/natwarden/audit"
	"github.com/natwarden/natwarden/internal/host"
	"github.com/natwarden/natwarden/internal/lab"
	"github.com/natwarden/natwarden/internal/netns"
	"github.com/natwarden/natwarden/policy"
	"github.com/natwarden/natwarden/remediate"
)

func newDemo(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "demo",
		Short: "see the whole job on a throw-away network, without any risk",
		Long: "Makes a client, a host and a backend in network namespaces of its own, sets up a\n" +
			"reverse NAT in the host, and then audits, removes, verifies and rolls back with\n" +
			"the very code of the other commands, asking the port each time who answers.\n" +
			"It touches nothing of this machine and leaves nothing. It needs root." +
			exitStatus(map[int]string{exitOK: "every step showed what it says", exitError: "a step did not"},
				exitOK, exitError, exitPrivilege),
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return runDemo(cmd.Context(), a) },
	}
}

// demo is one run of the show.
type demo struct {
	*page
	net    *lab.Triangle
	state  string // a state directory that goes with the demo
	step   int
	report *audit.Report
}

const greeting = "hello from the backend"

func runDemo(ctx context.Context, a *app) error {
	if a.json() {
		return usage("natwarden demo, without -o json", "the demo is a story for people: it has no JSON")
	}
	if err := needRight("demo", unix.CAP_NET_ADMIN, unix.CAP_SYS_ADMIN); err != nil {
		return err
	}
	ctx, stop := context.WithTimeout(ctx, 30*time.Second)
	defer stop()
	state, err := os.MkdirTemp("", "natwarden-demo-")
	if err != nil {
		return fmt.Errorf("making a folder for the demo's snapshots: %w", err)
	}
	d := &demo{page: a.page(), state: state}
	return errors.Join(d.run(ctx), removeState(state))
}

func (d *demo) run(ctx context.Context) error {
	began := time.Now()
	var err error
	if d.net, err = lab.NewTriangle(ctx); err != nil {
		return fmt.Errorf("making the demo's network: %w", err)
	}
	defer d.net.Close()
	backend, err := d.net.Backend.Greet(ctx, lab.BackendAddr+":8080", greeting)
	if err != nil {
		return err
	}
	defer backend.Close()
	d.line("A client, a host and a backend, in network namespaces of their own:")
	d.blank()
	d.line("  client " + lab.ClientAddr + "  --  host " + lab.HostAddr + "  --  backend " + lab.BackendAddr)
	for _, act := range []func(context.Context) error{d.quietPort, d.setUp, d.audit, d.remediate, d.auditAgain, d.rollback} {
		if err := act(ctx); err != nil {
			return fmt.Errorf("step %d of the demo: %w", d.step, err)
		}
	}
	d.blank()
	d.paragraph(green, fmt.Sprintf("Every step showed what it says, in %.1f s. Nothing of this machine was "+
		"touched and nothing is left. Next: natwarden audit", time.Since(began).Seconds()))
	return nil
}

// title begins a step.
func (d *demo) title(text string) {
	d.step++
	d.heading(fmt.Sprintf("%d. %s", d.step, text))
}

func (d *demo) quietPort(ctx context.Context) error {
	d.title("Before: nobody listens on the host's port 80")
	return d.expectRefused(ctx)
}

func (d *demo) setUp(ctx context.Context) error {
	d.title("The reverse NAT of the advisory")
	how, err := reverseNAT(ctx, d.net.Host)
	if err != nil {
		return err
	}
	d.item(how)
	return d.expectBackend(ctx)
}

func (d *demo) expectBackend(ctx context.Context) error {
	got, err := d.net.Client.Ask(ctx, lab.HostAddr+":80")
	if err != nil || got != greeting {
		return fmt.Errorf("port 80 is not answered by the backend: %q, %v", got, err)
	}
	d.item(fmt.Sprintf("client> connect %s:80   %q", lab.HostAddr, got))
	return nil
}

func (d *demo) expectRefused(ctx context.Context) error {
	got, err := d.net.Client.Ask(ctx, lab.HostAddr+":80")
	if !errors.Is(err, lab.ErrRefused) {
		return fmt.Errorf("port 80 is not refused: %q, %v", got, err)
	}
	d.item(fmt.Sprintf("client> connect %s:80   connection refused", lab.HostAddr))
	return nil
}

// look audits the demo's host, by the built-in policy.
func (d *demo) look(ctx context.Context) error {
	in, err := inputFor([]audit.Space{{Enter: d.net.Host.Do}}, nil, nil)
	if err != nil {
		return err
	}
	in.Scope.Netns = []string{"the demo's host"}
	in.Host.Name = "the demo's host"
	d.report, err = audit.Run(ctx, in, policy.Builtin(), time.Now())
	return err
}

func (d *demo) audit(ctx context.Context) error {
	d.title("natwarden audit")
	if err := d.look(ctx); err != nil {
		return err
	}
	d.verdictLine(d.report, tallyOf(d.report))
	d.redirects("Not authorized", d.report, host.Violation, d.violation)
	found := d.report.Redirects
	if d.report.Status != audit.Violations || len(found) != 1 || len(found[0].To) != 1 || found[0].To[0] != lab.BackendAddr+":8080" || found[0].Ports != "80" {
		return fmt.Errorf("the audit did not find exactly the one rule: status %s, %d redirects, blind %v", d.report.Status, len(found), d.report.Blind)
	}
	return nil
}

func (d *demo) remediate(ctx context.Context) error {
	d.title("natwarden remediate")
	spaces := []remediate.Space{{Handle: d.net.Host.Handle()}}
	r, err := remediate.Run(ctx, d.report.Redirects, d.report.Blind, spaces, editors(), d.options())
	if err := d.expectDone(r, err, remediated); err != nil {
		return err
	}
	return d.expectRefused(ctx)
}

func (d *demo) options() remediate.Options {
	return remediate.Options{StateDir: d.state, Version: version, Cuts: cutter(d.report.Redirects), Listeners: listeners()}
}

func (d *demo) expectDone(r *remediate.Result, err error, words telling) error {
	if err != nil {
		return err
	}
	d.resultLine(r, words)
	for i := range r.Steps {
		d.item(r.Steps[i].Action + " " + r.Steps[i].Object)
	}
	if r.Status != remediate.Done || r.ExitCode != exitOK || len(r.Steps) == 0 {
		return fmt.Errorf("it was not carried out: status %s, exit code %d, left %v", r.Status, r.ExitCode, r.Left)
	}
	return nil
}

func (d *demo) auditAgain(ctx context.Context) error {
	d.title("natwarden audit, again")
	if err := d.look(ctx); err != nil {
		return err
	}
	d.verdictLine(d.report, tallyOf(d.report))
	if d.report.Status != audit.Compliant {
		return fmt.Errorf("the host is not compliant: %s, blind %v", d.report.Status, d.report.Blind)
	}
	return nil
}

func (d *demo) rollback(ctx context.Context) error {
	d.title("natwarden rollback")
	resolve := func(context.Context, string) (netns.Handle, error) {
		return netns.Open(fmt.Sprintf("/proc/self/fd/%d", d.net.Host.Handle().Fd()))
	}
	r, err := remediate.Rollback(ctx, "", resolve, editors(), d.options())
	if err := d.expectDone(r, err, rolledBack); err != nil {
		return err
	}
	return d.expectBackend(ctx)
}

// removeState removes the demo's state directory; snapshots are read-only on
// purpose, folders too.
func removeState(path string) error {
	if err := os.RemoveAll(path); err != nil {
		return fmt.Errorf("removing the demo's folder: %w: remove %s by hand", err, path)
	}
	return nil
}
