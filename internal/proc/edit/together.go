package edit

import (
	"context"
	"slices"
	"strings"
)

// mostUnits bounds how many units one step stops.
const mostUnits = 32

// triggers are the properties (org.freedesktop.systemd1(5)) that name the units
// which would start a unit again, and what a socket has started.
var triggers = []string{"TriggeredBy", "Triggers"}

// dependents are the properties that name the units which systemd stops
// together with a unit: the other ends of Requires, BindsTo, Requisite and PartOf (systemd.unit(5)).
var dependents = []string{"RequiredBy", "BoundBy", "RequisiteOf", "ConsistsOf"}

// together gives a unit, first, with all units that have to stop with it, and
// says why one of them could not be started again; "" where all can.
func (e Editor) together(ctx context.Context, unit string) (units []string, final string, err error) {
	units = []string{unit}
	for i := 0; i < len(units); i++ {
		facts, err := e.facts(ctx, units[i])
		if err != nil {
			return nil, "", refuse("asking systemd for %s: %v", units[i], err)
		}
		if final == "" {
			final = vanishes(units[i], facts)
		}
		more, err := e.besides(ctx, units[i], facts)
		if err != nil {
			return nil, "", err
		}
		for _, m := range more {
			if !slices.Contains(units, m) {
				units = append(units, m)
			}
		}
		if len(units) > mostUnits {
			return nil, "", refuse("more than %d units would stop with %s: stop it by hand", mostUnits, unit)
		}
	}
	slices.Sort(units[1:])
	return units, final, nil
}

// besides gives the active units that stop with one unit or would start it again.
func (e Editor) besides(ctx context.Context, unit string, facts map[string]string) ([]string, error) {
	var out []string
	for _, property := range slices.Concat(triggers, dependents) {
		if property == "Triggers" && !strings.HasSuffix(unit, ".socket") {
			continue // a timer or path may have started what has nothing to do with it
		}
		for _, name := range strings.Fields(facts[property]) {
			state, err := e.ask(ctx, name, "ActiveState")
			switch {
			case err != nil:
				return nil, refuse("asking systemd for %s: %v", name, err)
			case state == "inactive" || state == "failed":
			case !isUnit(name):
				return nil, refuse("%s would stop with %s: stop it by hand", name, unit)
			default:
				out = append(out, name)
			}
		}
	}
	return out, nil
}

// vanishes says why a unit could not be started again once it is stopped.
func vanishes(unit string, facts map[string]string) string {
	switch {
	case facts["Transient"] == "yes":
		return unit + " was made by systemd-run or another program and vanishes when it stops: it cannot be started again"
	case facts["LoadState"] != "loaded":
		return "the file of " + unit + " cannot be loaded (" + facts["LoadState"] + "): it could not be started again"
	}
	return ""
}

// facts gives the properties of a unit that matter here.
func (e Editor) facts(ctx context.Context, unit string) (map[string]string, error) {
	names := slices.Concat([]string{"LoadState", "Transient"}, triggers, dependents)
	out, err := run(ctx, askTime, e.Systemctl, "show", "-p", strings.Join(names, ","), "--", unit)
	if err != nil {
		return nil, err
	}
	facts := map[string]string{}
	for line := range strings.Lines(out) {
		name, value, _ := strings.Cut(strings.TrimSuffix(line, "\n"), "=")
		facts[name] = value
	}
	return facts, nil
}
