package remediate

import (
	"context"
	"slices"
	"strings"
	"testing"

	"github.com/natwarden/natwarden/internal/change"
	"github.com/natwarden/natwarden/internal/host"
)

// hidden is a subsystem that shows nothing of what it holds, as processes are,
// and from which nothing comes back.
type hidden struct{ *kernel }

func (h hidden) World(ctx context.Context) (*change.World, error) {
	return &change.World{Backend: h.backend, Places: map[string][]string{}, Files: map[string][]byte{}}, ctx.Err()
}

func (h hidden) Stands(_ context.Context, o change.Object) (bool, error) {
	return slices.Contains(h.places[placeOf(&o)], o.Fingerprint), nil
}

const running = "ip running all" // the place of processes in a kernel of the tests

// servers are a rule and a process that has no way back.
func servers() (nft, processes *kernel, rows []host.Redirect) {
	nft = newKernel("nf_tables", map[string][]string{nat: {"a", "b"}})
	processes = newKernel("process", map[string][]string{running: {"p"}})
	processes.generation = 0
	processes.unprovable = map[string]string{"p": "a process is never started again"}
	return nft, processes, []host.Redirect{row("id-b", "nf_tables", nat, "b", 2), row("id-p", "process", running, "p", 1)}
}

// Of what --irreversible let through it is said that it is gone where it is, and
// only there: a change may have been interrupted before.
func TestWhatIsSaidOfWhatNeverComesBack(t *testing.T) {
	said, kept := 0, 0
	for at := 1; ; at++ {
		nft, processes, rows := servers()
		o, calls := options(t), 0
		o.Irreversible, o.Include = true, []string{IncludeAll}
		editors := []change.Editor{crashing{nft, &calls, at}, dying{hidden{processes}, &calls, at}}
		crashed := until(func() { _, _ = Run(context.Background(), rows, nil, here(), editors, o) })
		r, err := Recover(context.Background(), resolveHere, []change.Editor{nft, hidden{processes}}, o)
		if err != nil {
			t.Fatal(err)
		}
		ended := !slices.Contains(processes.places[running], "p")
		left := slices.ContainsFunc(r.Left, func(l Left) bool { return l.ID == "id-p" && strings.Contains(l.Why, "--irreversible") })
		if crashed && left != ended {
			t.Errorf("crash at %d: ended %v, left %+v", at, ended, r.Left)
		}
		switch {
		case !crashed && (said == 0 || kept < 3):
			t.Fatalf("%d crashes before the end of the process and %d after: the test does not reach it", kept, said)
		case !crashed:
			return
		case ended:
			said++
		default:
			kept++
		}
	}
}

// dying is crashing over what shows nothing.
type dying struct {
	hidden
	calls *int
	at    int
}

func (d dying) Edit(ctx context.Context, generation uint32, steps []change.Step) (change.Outcome, error) {
	return crashing{d.kernel, d.calls, d.at}.Edit(ctx, generation, steps)
}

// A change that failed after it ended a process is not "everything was rolled back".
func TestAFailureSaysWhatItEndedForGood(t *testing.T) {
	nft, processes, rows := servers()
	o := options(t)
	o.Irreversible, o.Include = true, []string{IncludeAll}
	processes.afterEdit = func(int) error { return errTest }
	r, err := Run(context.Background(), rows, nil, here(), []change.Editor{nft, hidden{processes}}, o)
	wantResult(t, r, err, Failed, exitHalf)
	if !strings.Contains(err.Error(), removedForGood) {
		t.Errorf("it does not say what stays ended: %v", err)
	}
	wantPlaces(t, nft, nat, "a", "b")
}

// A step that was refused once is asked for again: it may have been a moment's
// want of memory, and what is left out of a recovery stays away.
func TestWhatIsRefusedOnceIsAskedForAgain(t *testing.T) {
	nft, legacy, rows := web()
	o := options(t)
	if r, err := Run(context.Background(), rows, nil, here(), []change.Editor{nft, legacy}, o); err != nil || r.ExitCode != 0 {
		t.Fatalf("%+v %v", r, err)
	}
	forgetful := &refusingOnce{kernel: nft}
	r, err := Rollback(context.Background(), "", resolveHere, []change.Editor{forgetful, legacy}, o)
	if err != nil || r.ExitCode != 0 || len(r.Left) > 0 || forgetful.checks < 2 {
		t.Fatalf("%d checks: %+v %v", forgetful.checks, r, err)
	}
	wantPlaces(t, nft, nat, "a", "b", "c", "d")
}

// refusingOnce refuses a step the first time.
type refusingOnce struct {
	*kernel
	checks int
}

func (r *refusingOnce) Check(ctx context.Context, steps []change.Step) (map[int]string, error) {
	if r.checks++; r.checks == 1 {
		return map[int]string{0: "there was no memory to look"}, nil
	}
	return r.kernel.Check(ctx, steps)
}
