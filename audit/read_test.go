package audit

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/natwarden/natwarden/internal/host"
	"github.com/natwarden/natwarden/policy"
)

func named(label string, uid uint32) Space {
	s := here()
	s.Label, s.UID = label, uid
	return s
}

// follower is a fake that follows.
type follower struct{ fake }

func (follower) Follows() {}

func TestSpacesKeepTheirOrderAndRunSideBySide(t *testing.T) {
	var in Input
	for i := range 50 {
		in.Spaces = append(in.Spaces, named(fmt.Sprintf("ns%02d", i), 0))
	}
	var running, most atomic.Int32
	in.Sources = []Source{fake{name: "a", reading: host.Reading{State: host.Read, Blind: []host.Blind{{Source: "a", What: "x"}}}, fill: func(*host.Space) {
		now := running.Add(1)
		for old := most.Load(); now > old && !most.CompareAndSwap(old, now); old = most.Load() {
		}
		time.Sleep(2 * time.Millisecond)
		running.Add(-1)
	}}}
	r, err := Run(t.Context(), in, policy.Builtin(), today)
	if err != nil {
		t.Fatal(err)
	}
	for i, b := range r.Blind {
		if want := fmt.Sprintf("x in network namespace ns%02d", i); b.What != want {
			t.Errorf("blind %d is %q, want %q", i, b.What, want)
		}
	}
	if len(r.Blind) != 50 || most.Load() < 2 || most.Load() > 8 {
		t.Errorf("%d blind, %d at a time", len(r.Blind), most.Load())
	}
}

func TestJoinsStandBetweenSourcesAndFollowers(t *testing.T) {
	var order []string
	note := func(text string) func(*host.Space) { return func(*host.Space) { order = append(order, text) } }
	in := Input{
		Spaces:  []Space{here()},
		Sources: []Source{follower{fake{name: "follower", fill: note("follower")}}, fake{name: "plain", fill: note("plain")}},
		Join: []Join{{Name: "join", Run: func(_ context.Context, spaces []*host.Space) ([]host.Blind, error) {
			order = append(order, fmt.Sprint("join of ", len(spaces)))
			return []host.Blind{{Source: "join", What: "a"}}, errors.New("torn")
		}}},
	}
	r, err := Run(t.Context(), in, policy.Builtin(), today)
	if err != nil {
		t.Fatal(err)
	}
	if got := strings.Join(order, ", "); got != "plain, join of 1, follower" {
		t.Errorf("the order was %s", got)
	}
	if len(r.Blind) != 2 || r.Status != Incomplete {
		t.Errorf("%s, blind %v", r.Status, r.Blind)
	}
}

// shut makes a space unreached, as the interfaces would.
func shut(labels ...string) Join {
	return Join{Run: func(_ context.Context, spaces []*host.Space) ([]host.Blind, error) {
		for _, s := range spaces {
			for _, l := range labels {
				if s.Netns == l {
					s.Unreached = "nothing leads there"
				}
			}
		}
		return nil, nil
	}}
}

func TestWhatNoPacketReachesIsInactive(t *testing.T) {
	to, _ := host.ParseTarget("10.77.2.2:8080")
	for name, e := range map[string]host.Effect{"a redirect": {Kind: "dnat", To: []host.Target{to}}, "one that may redirect": {Kind: "dnat", Unknown: "x"}} {
		listens := fake{name: "sockets", fill: func(s *host.Space) { s.Listeners = []host.Listener{{Proto: "tcp", Address: "0.0.0.0", Port: 80}} }}
		r, err := Run(t.Context(), Input{Spaces: []Space{named("x", 0)}, Sources: []Source{rulesWith(e), listens}, Join: []Join{shut("x")}}, denying(), today)
		if err != nil {
			t.Fatal(err)
		}
		if r.Status != Compliant || len(r.Redirects) != 1 || r.Redirects[0].State != host.Inactive || r.Redirects[0].Why[0] != "nothing leads there" {
			t.Errorf("%s: %s, %+v", name, r.Status, r.Redirects)
		}
		if len(r.Ports) != 0 || r.Listeners[0].Verdict != host.Info {
			t.Errorf("%s: ports %v, listener %+v", name, r.Ports, r.Listeners[0])
		}
	}
}

// denying is a policy that authorizes nothing, listeners neither.
func denying() *policy.Policy {
	p := policy.Builtin()
	p.Defaults.Listeners = policy.Deny
	return p
}

func TestEqualRowsOfDifferentNamespacesHaveTheirOwnIDs(t *testing.T) {
	to, _ := host.ParseTarget("10.77.2.2:8080")
	r, err := Run(t.Context(), Input{Spaces: []Space{named("pid:7", 0), named("pid:8", 0)},
		Sources: []Source{rulesWith(host.Effect{Kind: "dnat", To: []host.Target{to}})}}, policy.Builtin(), today)
	if err != nil {
		t.Fatal(err)
	}
	if len(r.Redirects) != 2 || r.Redirects[1].ID != r.Redirects[0].ID+"-2" {
		t.Errorf("%q and %q", r.Redirects[0].ID, r.Redirects[1].ID)
	}
}

// Any user can make a namespace and fill it.
func TestTheBudgetOfAnUnprivilegedUser(t *testing.T) {
	to, _ := host.ParseTarget("10.77.2.2:8080")
	full := rulesWith(host.Effect{Kind: "dnat", To: []host.Target{to}})
	full.reading.Objects = strangersSize + 1
	for name, c := range map[string]struct {
		uid    uint32
		join   []Join
		status string
		rows   int
		doubts int
	}{
		"root has none":                   {0, nil, Violations, 1, 0},
		"a user's is blind":               {1000, nil, Incomplete, 0, 0},
		"a user's that leads nowhere":     {1000, []Join{shut("x")}, Compliant, 0, 1},
		"root's that leads nowhere, read": {0, []Join{shut("x")}, Compliant, 1, 0},
	} {
		r, err := Run(t.Context(), Input{Spaces: []Space{named("x", c.uid)}, Sources: []Source{full}, Join: c.join}, policy.Builtin(), today)
		if err != nil {
			t.Fatal(err)
		}
		if r.Status != c.status || len(r.Redirects) != c.rows || len(r.Doubts) != c.doubts {
			t.Errorf("%s: %s, rows %d, doubts %q, blind %v", name, r.Status, len(r.Redirects), r.Doubts, r.Blind)
		}
	}
}

// One that keeps a source busy is given up, alone.
func TestTheTimeOfAnUnprivilegedUser(t *testing.T) {
	in := Input{Spaces: []Space{named("x", 1000), named("y", 0)}}
	in.Spaces[0].Enter = func(ctx context.Context, _ func(context.Context) error) error {
		if _, limited := ctx.Deadline(); !limited {
			t.Error("no limit of time")
		}
		return context.DeadlineExceeded
	}
	in.Spaces[1].Enter = func(ctx context.Context, work func(context.Context) error) error {
		if _, limited := ctx.Deadline(); limited {
			t.Error("root's namespace has a limit of time")
		}
		return work(ctx)
	}
	in.Sources = []Source{fake{name: "a", reading: host.Reading{State: host.Read}}}
	r, err := Run(t.Context(), in, policy.Builtin(), today)
	if err != nil || len(r.Blind) != 1 || !strings.Contains(r.Blind[0].What, "network namespace x") {
		t.Errorf("%v, %v", r, err)
	}
}

func TestAQueueNamesItsReader(t *testing.T) {
	for evidence, want := range map[string]int{"queue 7": 4711, "queues 0-8": 4711, "queue 8": 0, "queue by mark": 0, "queues 8-9": 0, "queue 70000": 0} {
		queue := rulesWith(host.Effect{Kind: "queue", Evidence: []string{evidence}})
		fill := queue.fill
		queue.fill = func(s *host.Space) {
			fill(s)
			s.Queues = []host.QueueReader{{Number: 7, Processes: []host.Process{{PID: 4711, Name: "suricata"}}}}
		}
		r := run(t, queue)
		got := 0
		if p := r.Redirects[0].Process; p != nil {
			got = p.PID
		}
		if got != want {
			t.Errorf("%s: process %d, want %d", evidence, got, want)
		}
	}
}

func TestOdditiesOfAProcessAreEvidence(t *testing.T) {
	odd := fake{name: "relays", fill: func(s *host.Space) {
		s.AddRedirects(host.Redirect{Mechanism: "relay", Kind: "proxy", State: host.Active, Process: &host.Process{PID: 7, Name: "x", Netns: "far", Notes: []string{"odd"}}})
	}}
	evidence := strings.Join(run(t, odd).Redirects[0].Evidence, "|")
	if evidence != "odd|x (pid 7) lives in another network namespace: far" {
		t.Errorf("%q", evidence)
	}
}

// "ip route del …" typed where the report was made would delete another route, or none.
func TestAdviceNamesItsNamespace(t *testing.T) {
	for netns, want := range map[string]string{"": "ip route del x", "web": "inside network namespace web: ip route del x"} {
		r := host.Redirect{Mechanism: "route", Netns: netns, Advice: "ip route del x"}
		if locate(&r); r.Advice != want {
			t.Errorf("%q: %s, want %s", netns, r.Advice, want)
		}
	}
}
