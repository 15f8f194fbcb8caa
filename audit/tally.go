package audit

import "github.com/natwarden/natwarden/internal/host"

// tally adds up what the sources said of all namespaces.
type tally struct {
	counts []host.SourceState
	blind  []host.Blind
}

func newTally(sources []Source) *tally {
	t := &tally{counts: make([]host.SourceState, len(sources))}
	for i, s := range sources {
		t.counts[i].Name = s.Name()
	}
	return t
}

// add takes one answer. A source that failed in one namespace has failed.
func (t *tally) add(source int, label string, a answer) {
	c := &t.counts[source]
	c.Objects += a.reading.Objects
	for _, b := range a.reading.Blind {
		t.blind = append(t.blind, host.Blind{Source: b.Source, What: inSpace(label, b.What), Why: b.Why})
	}
	switch {
	case a.err != nil:
		c.State, c.Why = host.Failed, a.err.Error()
		t.blind = append(t.blind, host.Blind{Source: c.Name, What: inSpace(label, "everything"), Why: a.err.Error()})
	case c.State == host.Failed:
	case a.reading.State == host.Read:
		c.State, c.Why = host.Read, ""
	case c.State == "":
		c.State, c.Why = a.reading.State, a.reading.Why
	}
}

func inSpace(label, what string) string {
	if label == "" {
		return what
	}
	return what + " in network namespace " + label
}

func (t *tally) states(sources []Source) []host.SourceState {
	for i := range sources {
		if t.counts[i].State == "" {
			t.counts[i].State, t.counts[i].Why = host.Absent, "no namespace in scope"
		}
	}
	return t.counts
}
