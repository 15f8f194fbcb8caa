package audit

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/natwarden/natwarden/internal/host"
)

// The budget of a network namespace that belongs to an unprivileged user.
// Anybody can make one and fill it: what is beyond it is blind, for that
// namespace alone.
const (
	strangersTime = 5 * time.Second // for all sources that run side by side, and again for those that follow
	strangersSize = 100_000         // rules, sockets, … that are kept of one source
)

// read asks the sources of every space: first those that need no other, of
// several spaces side by side; then, once, what looks at all spaces together;
// then the followers. The order of the result is that of the input.
func read(ctx context.Context, in Input) *host.State {
	r := newReader(in)
	r.each(func(i int) { r.plain(ctx, i) })
	for _, join := range in.Join {
		blind, err := join.Run(ctx, r.state.Spaces)
		r.state.Blind = append(r.state.Blind, blind...)
		if err != nil {
			r.state.Blind = append(r.state.Blind, host.Blind{Source: join.Name, What: "everything", Why: err.Error()})
		}
	}
	r.each(func(i int) { r.following(ctx, i) })
	r.tally()
	return r.state
}

// reader is one run of the sources over the spaces.
type reader struct {
	in      Input
	state   *host.State
	answers [][]answer // of each space, of each source
}

func newReader(in Input) *reader {
	r := &reader{in: in, state: &host.State{Blind: slices.Clone(in.Blind)}, answers: make([][]answer, len(in.Spaces))}
	for i, space := range in.Spaces {
		r.state.Spaces = append(r.state.Spaces, &host.Space{Netns: space.Label, NetnsUID: space.UID})
		r.answers[i] = make([]answer, len(in.Sources))
	}
	return r
}

// each works on the spaces, several at a time.
func (r *reader) each(work func(i int)) {
	var next atomic.Int64
	var workers sync.WaitGroup
	for range min(2*runtime.GOMAXPROCS(0), 8, len(r.in.Spaces)) {
		workers.Go(func() {
			for i := int(next.Add(1)) - 1; i < len(r.in.Spaces); i = int(next.Add(1)) - 1 {
				work(i)
			}
		})
	}
	workers.Wait()
}

// plain asks the sources that need no other, side by side, each on a thread of
// its own inside the namespace.
func (r *reader) plain(ctx context.Context, space int) {
	ctx, stop := r.budget(ctx, space)
	defer stop()
	var wait sync.WaitGroup
	for i, source := range r.in.Sources {
		if _, follows := source.(Follower); !follows {
			wait.Go(func() { r.ask(ctx, space, i) })
		}
	}
	wait.Wait()
	r.unload(space)
}

// unload lets go what was read of a namespace that is beyond its budget.
func (r *reader) unload(space int) {
	s := r.state.Spaces[space]
	for _, a := range r.answers[space] {
		if errors.Is(a.err, errTooMuch) {
			s.Tables, s.Listeners, s.Redirects = nil, nil, nil
		}
	}
}

var errTooMuch = errors.New("more than is looked at in a namespace of an unprivileged user")

// following asks the followers, one after another.
func (r *reader) following(ctx context.Context, space int) {
	ctx, stop := r.budget(ctx, space)
	defer stop()
	for i, source := range r.in.Sources {
		if _, follows := source.(Follower); follows {
			r.ask(ctx, space, i)
		}
	}
}

func (r *reader) budget(ctx context.Context, space int) (context.Context, context.CancelFunc) {
	if r.in.Spaces[space].UID == 0 {
		return ctx, func() {}
	}
	return context.WithTimeout(ctx, strangersTime)
}

func (r *reader) ask(ctx context.Context, space, source int) {
	a := &r.answers[space][source]
	*a = readOne(ctx, r.in.Spaces[space], r.in.Sources[source], r.state.Spaces[space])
	if r.in.Spaces[space].UID != 0 && a.err == nil && a.reading.Objects > strangersSize {
		a.err = fmt.Errorf("it holds %d, with a limit of %d: %w", a.reading.Objects, strangersSize, errTooMuch)
	}
}

// tally adds the answers up, in the order of spaces and sources. What cannot
// be read of a namespace that an unprivileged user made and no packet reaches
// is a note: else any user could keep every report from being complete.
func (r *reader) tally() {
	t, harmless := newTally(r.in.Sources), newTally(r.in.Sources)
	for i, space := range r.in.Spaces {
		into := t
		if space.UID != 0 && r.state.Spaces[i].Unreached != "" {
			into = harmless
		}
		for j := range r.in.Sources {
			into.add(j, space.Label, r.answers[i][j])
			r.answers[i][j].note(r.in.Sources[j].Name(), r.state.Spaces[i])
		}
	}
	for _, b := range harmless.blind {
		r.state.Doubts = append(r.state.Doubts, b.What+" was not read, which no packet from outside reaches: "+b.Why)
	}
	r.state.Blind = append(r.state.Blind, t.blind...)
	r.state.Sources = append(t.states(r.in.Sources), skipped(r.in.Skipped)...)
}

type answer struct {
	reading host.Reading
	err     error
}

// note keeps in the space what was not read of it.
func (a *answer) note(source string, s *host.Space) {
	switch {
	case a.err != nil:
		s.Failed = append(s.Failed, source)
	case len(a.reading.Blind) > 0:
		s.Partial = append(s.Partial, source)
	}
}

func readOne(ctx context.Context, space Space, source Source, into *host.Space) answer {
	var a answer
	err := space.Enter(ctx, func(ctx context.Context) error {
		a.reading, a.err = source.Read(ctx, into)
		return nil
	})
	if err != nil {
		a.err = err
	}
	return a
}

func skipped(names []string) []host.SourceState {
	out := make([]host.SourceState, 0, len(names))
	for _, name := range names {
		out = append(out, host.SourceState{Name: name, State: host.Skipped, Why: "left out by --sources"})
	}
	return out
}
