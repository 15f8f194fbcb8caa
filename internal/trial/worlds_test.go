//go:build amd64

package trial

import (
	"strings"

	"github.com/natwarden/natwarden/internal/lab/fault"
)

// world is a host on trial and the change that is tried on it.
type world struct {
	name   string
	links  func(b *bench)                        // makes what is made once
	build  func(b *bench)                        // makes the rest anew, whatever stands there
	more   func(b *bench, out map[string]string) // marks what marks does not
	middle func(c fault.Call) bool               // at this call half of the change is done
	leave  func()                                // ends what the next world must not see; nil for nothing
	change []string                              // the arguments of the change
	// changes is in how many places at least the change shows, done its exit code,
	// undone that of its rollback.
	changes, done, undone int
	phases                []*phase
}

// worlds are all of them. Where another one follows, the links of the one
// before are taken over.
func worlds() []*world {
	rules := &world{name: "rules", links: func(b *bench) { buildLinks(b.T) }, build: func(b *bench) { build(b.T) }, change: theChange, changes: 8,
		// nf_tables is changed and iptables-legacy is not yet.
		middle: func(c fault.Call) bool { return c.Name == "setsockopt" && strings.Contains(c.Object, "option 64") }}
	rules.phases = phasesOf(rules)
	return []*world{rules, processes(), beyondRules()}
}

// theChange are the arguments of the change on trial in the world of rules.
var theChange = changing("routes")

func changing(include ...string) []string {
	return []string{"remediate", "--netns", "current", "--policy", policyFile, "--include", strings.Join(include, ","), "--yes"}
}

// beyondRules is a host whose redirects are no rules, or rules that lean on
// what is none.
func beyondRules() *world {
	w := &world{name: "beyond", links: linksBeyond, build: buildBeyond, more: markBeyond, change: changing("routes", "bpf"), changes: 8,
		// All but traffic control and eBPF is changed.
		middle: func(c fault.Call) bool { return strings.Contains(c.Object, "message 0x2d") }} // RTM_DELTFILTER
	for _, p := range phasesOf(w) {
		switch p.name {
		case "remediate", "rollback", "recover", "watchdog":
			p.name += " beyond rules"
			p.stride = beyondStride
			w.phases = append(w.phases, p)
		}
	}
	return w
}

// beyondStride is that of all phases beyond rules.
const beyondStride = 25
