package remediate

import (
	"fmt"
	"slices"
	"strings"

	"github.com/natwarden/natwarden/internal/netns"
	"github.com/natwarden/natwarden/rollback"
)

// A restart ends every network namespace but the one of process 1, and all
// rules; what files load again is there again. What was changed is found by labels and
// fingerprints alone then, and a label may by now belong to something else.

// restarted says whether the host restarted since the change was made.
func (b *back) restarted() bool { return !b.change.Plan.Origin.SameBoot(b.here) }

// forgotten says of a label that a restart left nothing behind it: the
// namespace of a process or of an open file, and, where nobody says that he stands in it again,
// the one in which natwarden was started if that was not the one of process 1.
func (b *back) forgotten(label string) string {
	if !b.restarted() {
		return ""
	}
	if strings.HasPrefix(label, "pid:") || strings.HasPrefix(label, "fd:") {
		return fmt.Sprintf("network namespace %s ended when the host restarted", name(label))
	}
	if label == "" && b.recovering && b.changed(label).First == "no" {
		return "the network namespace in which remediate ran was not the one of process 1, and ended when the host restarted"
	}
	return ""
}

// another says why a namespace is not the one that was changed under its label.
func (b *back) another(here rollback.Netns) string {
	changed := b.changed(here.Label)
	switch {
	case !b.restarted() && changed.Same(here):
		return ""
	case b.restarted() && (here.Label != "" || changed.First == here.First || changed.First == "" || here.First == ""):
		return ""
	}
	return fmt.Sprintf("network namespace %s is not the one that was changed; run rollback where remediate ran", name(here.Label))
}

// changed gives a namespace of the change as it was then.
func (b *back) changed(label string) rollback.Netns {
	all := b.change.Plan.Origin.Netns
	if i := slices.IndexFunc(all, func(n rollback.Netns) bool { return n.Label == label }); i >= 0 {
		return all[i]
	}
	return rollback.Netns{}
}

// later says whether a group is left to the next recovery: before the network is
// up no route has its device, and a unit that waits for the network never starts.
func (b *back) later(g rollback.Group) bool {
	later := b.recovering && b.o.Backends != nil && !slices.Contains(b.o.Backends, g.Backend)
	b.waits = b.waits || later
	return later
}

// goesOn says whether the recovery is a first pass that has not put all back.
func (b *back) goesOn() bool {
	return b.recovering && b.o.Backends != nil && (b.waits || b.partly)
}

// isFirst says whether a namespace is the one of process 1: "yes", "no", or ""
// where that cannot be read.
func isFirst(id netns.ID) string {
	h, err := netns.Open("/proc/1/ns/net")
	if err != nil {
		return ""
	}
	defer h.Close()
	first, err := h.ID()
	switch {
	case err != nil:
		return ""
	case first == id:
		return "yes"
	}
	return "no"
}
