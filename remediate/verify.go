package remediate

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/natwarden/natwarden/internal/change"
	"github.com/natwarden/natwarden/internal/host"
)

// verify reads the host again: what was planned is gone, every other
// fingerprint and its order are as before, and the listeners are still there.
func (r *run) verify(ctx context.Context) error {
	r.patience = patience(r.o.Patience)
	var wrong []string
	for _, g := range r.planned.groups {
		world, err := r.read(ctx, g)
		if err != nil {
			return fmt.Errorf("verifying: %w", err)
		}
		for _, d := range r.unplanned(g, world) {
			wrong = append(wrong, g.label()+": "+d)
		}
	}
	for _, s := range r.planned.spaces() {
		now, err := s.listeners(ctx, r.o)
		if err != nil {
			return fmt.Errorf("verifying: %w", err)
		}
		wrong = append(wrong, vanished(r.listening[s.Label], now, r.planned.stops())...)
	}
	if len(wrong) > 0 {
		return fmt.Errorf("verifying: the host is not as planned: %s%s", strings.Join(wrong[:min(len(wrong), 8)], "; "), r.meanwhile())
	}
	return nil
}

// unplanned is what of a group is not as planned and may be our doing. Where the
// rules were read right after the transaction, and nobody else can have written
// before that, they must be exactly as planned, and what is otherwise by now is
// others'. Else it is theirs where the kernel counted and named them.
func (r *run) unplanned(g *group, now *change.World) []string {
	want := expected(g.world.Places, g.steps)
	if g.after != nil {
		if wrong := differences(want, g.after.Places, g.steps); len(wrong) > 0 {
			return wrong
		}
	}
	what := differences(want, now.Places, g.steps)
	if by := r.overtaken(g, now); len(what) > 0 && (g.after != nil || by != "") {
		r.besides(g, now, cmp.Or(by, "somebody"), what)
		return nil
	}
	return what
}

// vanished names the listeners that are gone though their process runs on. A
// process that ended by itself is none of our doing. What process 1 holds for a
// unit (systemd.socket(5)) goes with the unit where the plan stops one.
func vanished(before, now []host.Listener, stops bool) []string {
	have := map[string]bool{}
	for _, l := range now {
		have[endpoint(l)] = true
	}
	var out []string
	for _, l := range before {
		if !have[endpoint(l)] && !transient(l) && anyRuns(l.Processes, stops) {
			out = append(out, "nobody listens on "+endpoint(l)+" any more")
		}
	}
	return out
}

// stops says whether the plan stops a unit, a container or a process.
func (p *plan) stops() bool {
	return slices.ContainsFunc(p.groups, func(g *group) bool {
		return slices.ContainsFunc(g.steps, func(s change.Step) bool { return s.Action == change.Stop })
	})
}

func endpoint(l host.Listener) string {
	return fmt.Sprintf("%s %s port %d", l.Proto, l.Address, l.Port)
}

// transient are UDP sockets on a port that the kernel chose: a resolver's
// question, gone in a moment (ip_local_port_range begins at 32768).
func transient(l host.Listener) bool {
	return strings.HasPrefix(l.Proto, "udp") && l.Port >= 32768
}

// anyRuns says whether one of the processes runs; without any known it is taken
// to be so.
func anyRuns(processes []host.Process, butFirst bool) bool {
	for _, p := range processes {
		if runs(p.PID) && !(butFirst && p.PID == 1) {
			return true
		}
	}
	return len(processes) == 0
}

// runs says whether a process runs. One that has ended and that nobody has
// waited for (a zombie, proc_pid_stat(5)) does not.
func runs(pid int) bool {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return false
	}
	_, state, _ := bytes.Cut(stat[bytes.LastIndexByte(stat, ')')+1:], []byte(" "))
	return len(state) > 0 && state[0] != 'Z' && state[0] != 'X'
}
