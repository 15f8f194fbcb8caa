//go:build amd64

package trial

import (
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/natwarden/natwarden/internal/lab/fault"
)

// shards is how many namespaces work side by side.
// Most of the time the kernel waits for its readers (synchronize_rcu).
const shards = 16

// TestFaults has every system call by which natwarden changes something fail in
// turn, or kills natwarden right before or after it, and holds that after
// `natwarden recover` the host is exactly as before the change or exactly as
// after it, that the exit code said so, and that the next change goes as ever.
// The list of the calls is what a run without faults does.
func TestFaults(t *testing.T) {
	natwarden, shared := binary(t), envShared+"="+t.TempDir()
	inShardsOf(t, "TestFaultPoints", natwarden, shards, shared)
	if t.Failed() {
		return
	}
	sum := inShardsOf(t, "TestFaultsInside", natwarden, shards, shared)
	if points := sum["tried"]; points < 300 && !t.Failed() && os.Getenv("NATWARDEN_FAULTS_PHASE") == "" {
		t.Errorf("only %d points were tried", points)
	}
}

// faults are what happens at a point.
var faults = []struct {
	name string
	fault.Action
}{
	{"killed before", fault.Action{Kill: true}},
	{"killed after", fault.Action{Kill: true, Late: true}},
	{"ENOSPC", fault.Action{Errno: unix.ENOSPC}},
	{"EIO", fault.Action{Errno: unix.EIO}},
	{"EINTR", fault.Action{Errno: unix.EINTR}},
	{"EPERM", fault.Action{Errno: unix.EPERM}},
	{"ENOMEM", fault.Action{Errno: unix.ENOMEM}},
	{"EIO though done", fault.Action{Errno: unix.EIO, Late: true}},
}

// TestFaultPoints finds the points of some of the phases and writes them down
// for TestFaultsInside.
func TestFaultPoints(t *testing.T) {
	b := &bench{T: t, folder: inside(t)}
	for _, w := range worlds() {
		var x *trial
		for i, p := range w.phases {
			if !wanted(p) || i%shards != shard(t) {
				continue
			}
			if x == nil {
				x = newTrial(b, w)
			}
			writePoints(t, p, x.record(p))
		}
		x.over()
	}
}

// TestFaultsInside is one shard of TestFaults.
func TestFaultsInside(t *testing.T) {
	b := &bench{T: t, folder: inside(t)}
	figures := map[string]int{}
	for _, w := range worlds() {
		var x *trial
		jobs := jobsOf(t, w)
		for n := takeJob(t, w.name); n < len(jobs); n = takeJob(t, w.name) {
			if x == nil {
				x = newTrial(b, w)
				x.figures = figures
			}
			x.try(jobs[n])
		}
		x.over()
	}
	for _, what := range slices.Sorted(maps.Keys(figures)) {
		fmt.Printf("FIGURE %s %d\n", what, figures[what])
	}
}

// trial is the host on trial with what it looks like before and after.
type trial struct {
	*bench
	*world
	host    map[string]map[string]string // marks, by asBefore and asAfter
	figures map[string]int
	tries   int
	sure    bool // the host was seen to be as before, and nothing was done since
	counted bool // counters of x_tables are not what they were
	lost    bool // what nothing brings back has ended
}

func newTrial(b *bench, w *world) *trial {
	x := &trial{bench: b, world: w, host: map[string]map[string]string{}, figures: map[string]int{}}
	w.links(b)
	if err := os.WriteFile(policyFile, []byte(housePolicy), 0o600); err != nil {
		b.Fatal(err)
	}
	x.reset()
	x.host[asBefore] = x.seen()
	if n := flows(b.T); n != 1 {
		b.Fatalf("%d flows are translated, want 1 to be cut", n)
	}
	x.want(w.done, x.plain(keeping(w.change)...))
	x.host[asAfter] = x.seen()
	if n := flows(b.T); n != 0 {
		b.Errorf("%d flows outlive their rule", n)
	}
	x.want(w.undone, x.plain("rollback", "--yes"))
	if how := x.stands(); how != asBefore {
		b.Fatalf("the host does not come back without a fault:\n%s", how)
	}
	if n := len(differences(x.host[asBefore], x.host[asAfter])); n < w.changes {
		b.Fatalf("the change on trial changes too little: %d places", n)
	}
	return x
}

// over ends a world; nil is one that was never entered.
func (x *trial) over() {
	if x != nil && x.leave != nil {
		x.endAll()
		x.leave()
	}
}

// reset makes the host what it was before, with an empty state directory.
func (x *trial) reset() {
	x.Helper()
	x.fresh()
	x.counted, x.sure = false, false
	x.build(x.bench)
	flowThere(x.T)
}

// seen is how the host looks now.
func (x *trial) seen() map[string]string {
	x.Helper()
	out := marks(x.T)
	if x.more != nil {
		x.more(x.bench, out)
	}
	return out
}

// stands says how the host stands: asBefore, asAfter, or what is neither. The
// counters of x_tables are a figure: the kernel sets them to zero when a table
// is replaced, and natwarden adds them in a second call.
func (x *trial) stands() string {
	now := x.seen()
	words, partly := []string{asPartly}, true
	for key, value := range now {
		partly = partly && (value == x.host[asBefore][key] || value == x.host[asAfter][key] || apart(key))
	}
	x.lost = slices.ContainsFunc(differences(now, x.host[asBefore]), func(d string) bool { return strings.HasPrefix(d, forGood) })
	if !partly {
		words[0] = "neither"
	}
	for _, how := range []string{asBefore, asAfter} {
		diff := differences(now, x.host[how])
		rules := slices.DeleteFunc(slices.Clone(diff), apart)
		if len(rules) == 0 {
			if slices.ContainsFunc(diff, func(d string) bool { return strings.HasPrefix(d, "counters of ") }) {
				x.figures["counters-lost"]++
				x.counted = true
			}
			return how
		}
		words = append(words, "not "+how+":\n  "+strings.Join(rules, "\n  "))
	}
	return strings.Join(words, "\n")
}

// forGood begins the marks of what nothing brings back.
const forGood = "for good "

// apart tells marks that are looked at apart from the others.
func apart(mark string) bool {
	return strings.HasPrefix(mark, "counters of ") || strings.HasPrefix(mark, forGood)
}

// ready brings everything to where a phase begins.
func (x *trial) ready(p *phase) {
	x.Helper()
	x.fresh()
	if !x.sure || x.counted || x.lost {
		if x.stands() != asBefore || x.counted || x.lost {
			x.reset()
		}
	}
	x.sure = false
	flowThere(x.T)
	if p.before != nil {
		p.before(x.bench, x.world)
	}
}

// record runs a phase without a fault and lists its points.
func (x *trial) record(p *phase) []fault.Call {
	x.Helper()
	x.ready(p)
	var found pointList
	decide := func(c fault.Call) fault.Action {
		if c.Role == p.role && !strings.Contains(c.Object, "[eventfd]") { // the Go runtime's own
			found.add(c)
		}
		return fault.Action{}
	}
	r := x.traced(decide, p.args...)
	if p.settle != nil {
		p.settle(x.bench)
	}
	x.want(p.usual, r)
	x.next(p, fault.Call{}, "nothing", false)
	points := found.all()
	if len(points) < 5 {
		x.Fatalf("%s: only %d points: %v", p.name, len(points), points)
	}
	return points
}

// try runs a phase with one fault, and judges.
func (x *trial) try(j job) {
	x.Helper()
	p, at, name, act := j.phase, j.at, faults[j.fault].name, faults[j.fault].Action
	x.ready(p)
	var reached atomic.Bool // the tracer's, which goes on after the run
	x.doing = fmt.Sprintf("%s, %s at %s", p.name, name, at)
	decide := func(c fault.Call) fault.Action {
		if c != at || !reached.CompareAndSwap(false, true) {
			return fault.Action{}
		}
		return act
	}
	r := x.traced(decide, p.args...)
	if p.settle != nil {
		p.settle(x.bench)
	}
	if !reached.Load() {
		x.figures["not-reached"]++
		x.Logf("not reached: %s: %s", p.name, at)
		return
	}
	x.figures["tried"]++
	x.figures["tried:"+strings.ReplaceAll(p.name, " ", "-")]++
	x.judge(j, r)
}

// judge holds what the run said against how the host stands.
func (x *trial) judge(j job, r ran) {
	x.Helper()
	p, at, name := j.phase, j.at, faults[j.fault].name
	how := x.stands()
	said := r.code == 2 || r.code == 3 || r.code == 0 && strings.Contains(r.out, "PENDING")
	partly := p.part && said && strings.HasPrefix(how, asPartly)
	if partly {
		x.figures["partly"]++
	}
	if allowed, known := p.may[r.code]; known && allowed != nil && !slices.Contains(allowed, how) && !partly || !known && r.code != -1 && r.code != 5 {
		x.bad(p, at, name, "it says that the host is as %q, but that is as %s\n%s", allowed, how, r)
	}
	if r.code == 0 && how == asAfter && flows(x.T) > 0 {
		x.bad(p, at, name, "a flow outlives its rule, and it says that all is done: %s", r)
	}
	if p.before == nil && x.lost && (how == asBefore && r.code != -1 && r.code != 5) {
		x.bad(p, at, name, "a process ended for good, and it says that nothing was changed or that all was rolled back: %s", r)
	}
	if r.code == 0 && p.before == nil && how == asAfter && !x.lost && x.undone != 0 {
		x.bad(p, at, name, "a process runs on, and it says that all is done: %s", r)
	}
	if faults[j.fault].Errno == unix.EINTR && r.code != p.usual {
		x.bad(p, at, name, "it was not tried again: %s", r)
	}
	x.next(p, at, name, partly)
}

// next does what an administrator does next, and holds that it goes as ever.
// Where not all could be read, what was planned is a part of what is after, and
// the exit code said so.
func (x *trial) next(p *phase, at fault.Call, name string, partly bool) {
	x.Helper()
	r := x.calm("recover")
	how := x.stands()
	if partly && strings.HasPrefix(how, asPartly) {
		how = asAfter
	}
	if how != asBefore && how != asAfter || !x.ended(r.code) {
		x.bad(p, at, name, "after recover (%s) the host is %s", r, how)
		x.reset()
		return
	}
	x.figures["recovered-"+how]++
	if how == asAfter {
		if r := x.calm("rollback", "--yes"); !x.undoneBy(r.code) || x.stands() != asBefore {
			x.bad(p, at, name, "rollback after recover: %s\nthe host is %s", r, x.stands())
			x.reset()
			return
		}
	}
	if named := strings.Contains(r.out, "socat"); named && !x.lost || r.code == 2 && !named {
		x.bad(p, at, name, "it says of what ended for good (%v) what is not so: %s", x.lost, r)
	}
	if x.lost {
		x.reset()
	}
	x.sure = !x.counted // whatever else it is, it is asBefore
	if x.tries++; x.tries%4 != 0 && os.Getenv(envFaults) != "all" {
		return // the next change is tried now and then
	}
	x.sure = false
	if r := x.calm(keeping(x.change)...); r.code != x.done || x.stands() != asAfter {
		x.bad(p, at, name, "the next remediate: %s\nthe host is %s", r, x.stands())
	}
	if r := x.calm("rollback", "--yes"); r.code != x.undone || x.stands() != asBefore {
		x.bad(p, at, name, "the next rollback: %s\nthe host is %s", r, x.stands())
		x.reset()
	}
}

// ended says whether a recovery may end with a code: with 2 only where what
// nothing brings back has ended.
func (x *trial) ended(code int) bool { return code == 0 || code == 6 || code == 2 && x.lost }

// undoneBy says whether a rollback ends with a code, as the host stands.
func (x *trial) undoneBy(code int) bool {
	if !x.lost {
		return code == 0
	}
	return code == x.undone
}

func (x *trial) bad(p *phase, at fault.Call, name, format string, args ...any) {
	x.Helper()
	x.figures["bad"]++
	x.Errorf("%s, %s at %s: %s", p.name, name, at, fmt.Sprintf(format, args...))
}
