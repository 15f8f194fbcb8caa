package edit

import (
	"context"
	"fmt"
	"strconv"
	"strings"

	"github.com/natwarden/natwarden/internal/change"
	"github.com/natwarden/natwarden/internal/proc"
)

var _ change.Seer = Editor{}

// Stands says whether all that an object names runs: its processes with the
// start times that they had, its unit, its container.
func (e Editor) Stands(ctx context.Context, o change.Object) (bool, error) {
	switch o.Kind {
	case kindProcess:
		return allLive(strings.Split(o.Names["processes"], "\n")), nil
	case kindUnit:
		return e.allActive(ctx, strings.Fields(o.Names["units"]))
	case kindContainer:
		said, err := run(ctx, askTime, e.engine(o.Names["runtime"]), "inspect", "--type", "container", "--format", "{{.State.Running}}", o.Names["container"])
		return strings.TrimSpace(said) == "true", err
	}
	return false, fmt.Errorf("%q is no kind of process", o.Kind)
}

// allLive says whether processes live, by their fingerprints.
func allLive(prints []string) bool {
	for _, print := range prints {
		number, _, _ := strings.Cut(print, " ")
		pid, err := strconv.Atoi(number)
		if err != nil {
			return false
		}
		if life, err := proc.LifeOf(pid); err != nil || life.Fingerprint() != print {
			return false
		}
	}
	return true
}

func (e Editor) allActive(ctx context.Context, units []string) (bool, error) {
	for _, unit := range units {
		if !isUnit(unit) {
			return false, fmt.Errorf("%q is no unit that natwarden stops or starts", unit)
		}
		if state, err := e.ask(ctx, unit, "ActiveState"); err != nil || state != "active" {
			return false, err
		}
	}
	return true, nil
}
