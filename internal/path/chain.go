package path

import (
	"fmt"

	"github.com/natwarden/natwarden/internal/host"
)

const (
	// maxStates bounds the ways that are followed at once.
	maxStates = 512
	// maxDepth bounds jumps (the kernel: NFT_JUMP_STACK_SIZE 16).
	maxDepth = 32
)

// ends is where the ways through a chain lead to.
type ends struct {
	back     []state // to the caller, or to the policy of a base chain
	accepted []state // out of the base chain
}

// run is a base chain being run.
type run struct {
	*walker
	base *base
}

// baseChain gives the ways that go on after a base chain.
func (k *walker) baseChain(b *base, in []state) []state {
	r := &run{k, b}
	e := r.chain(b.graph[b.chain.Name], in, 0)
	if b.chain.Base.Policy != "drop" {
		return joined(append(e.accepted, e.back...))
	}
	for _, s := range e.back {
		s.note(r.step(nil, "dropped by the policy of chain "+b.chain.Name))
		k.nobody(s, Dropped, "dropped by the policy of "+place(b.table, b.chain))
	}
	return joined(e.accepted)
}

func place(t *host.Table, c *host.Chain) string {
	return string(t.Family) + " " + t.Name + " " + c.Name
}

func (r *run) step(rule *host.Rule, effect string) Step {
	if r.cell != nil {
		return Step{}
	}
	x := Step{Netns: r.world.Netns, Hook: r.base.chain.Base.Hook, Priority: r.base.priority(), Effect: effect}
	if rule != nil {
		x.Rule = r.ruleText(rule)
	}
	return x
}

// ruleText is a rule as its writer would type it, or its number.
func (r *run) ruleText(rule *host.Rule) string {
	where := string(r.base.table.Family) + " " + r.base.table.Name
	if rule.Text != "" {
		return where + ": " + rule.Text
	}
	return fmt.Sprintf("%s: rule %d", where, rule.Index)
}

// chain runs the rules on all ways that enter the chain.
func (r *run) chain(n *node, live []state, depth int) ends {
	e := ends{back: r.list(2), accepted: r.list(1)}
	if depth > maxDepth {
		r.giveUp(live, "jumps nest too deep")
		return e
	}
	for i := r.next(n, 0, live); i < len(n.chain.Rules); i = r.next(n, i+1, live) {
		live = r.rule(n, i, live, &e, depth)
		if len(live) > maxStates {
			r.giveUp(live, "too many ways to tell them apart")
			return e
		}
	}
	e.back = append(e.back, live...)
	return e
}

// next is the place of the first rule, from one on, that may take one of the
// ways; behind the last rule where there is none.
func (r *run) next(n *node, from int, live []state) int {
	end := len(n.chain.Rules)
	if len(live) == 0 {
		return end
	}
	if r.cell == nil || end <= longList {
		return from
	}
	c, x := candidates{lists: r.lists[:0]}, n.rulesIndex()
	for i := range live {
		r.find(x, &c, &live[i])
	}
	r.lists = c.lists
	return int(c.next(int32(from), int32(end)))
}

// branches calls for each branch of a rule that may take the packet, in order,
// until it returns false.
func (r *run) branches(n *node, rule int, s *state, call func(*host.Branch) bool) {
	list := n.chain.Rules[rule].Branches
	var c candidates
	if r.cell == nil || len(list) <= longList {
		c.all = true
	} else {
		n.rulesIndex()
		r.find(n.wide[int32(rule)], &c, s)
	}
	end := int32(len(list))
	for b := c.next(0, end); b < end; b = c.next(b+1, end) {
		if !call(&list[b]) {
			return
		}
	}
}

// rule runs one rule and gives the ways that go on to the next.
func (r *run) rule(n *node, i int, live []state, e *ends, depth int) []state {
	if len(live) == 1 && r.cell != nil {
		return r.alone(n, i, live, e, depth)
	}
	for s := range live {
		if r.concernsAny(n, i, &live[s]) {
			return joined(r.fork(n, i, live, e, depth))
		}
	}
	return live
}

// alone is rule for one way, which most rules do not take.
func (r *run) alone(n *node, i int, live []state, e *ends, depth int) []state {
	out, taken := r.through(n, i, &live[0], nil, e, depth)
	if !taken {
		return live
	}
	return joined(out)
}

// concernsAny says whether a branch of the rule may take the packet and do something.
func (r *run) concernsAny(n *node, i int, s *state) (any bool) {
	r.branches(n, i, s, func(b *host.Branch) bool {
		t, _ := r.match(&b.Match, s)
		any = t == yes || t == maybe && acts(b)
		return !any
	})
	return any
}

// fork sends each way through the branch that takes it, or through several
// where that is open.
func (r *run) fork(n *node, i int, live []state, e *ends, depth int) []state {
	next := r.list(len(live))
	for w := range live {
		s := &r.one(live[w])[0]
		var taken bool
		if next, taken = r.through(n, i, s, next, e, depth); !taken {
			next = append(next, *s)
		}
	}
	return next
}

// through sends one way through a rule and adds what goes on. It is false, and
// adds nothing, where no branch takes it.
func (r *run) through(n *node, i int, s *state, next []state, e *ends, depth int) (out []state, any bool) {
	pass := true // s, or what of it no branch took, goes on
	r.branches(n, i, s, func(branch *host.Branch) bool {
		t, words := r.match(&branch.Match, s)
		if t == no || t == maybe && !acts(branch) {
			return true
		}
		taken := *s
		if t == maybe {
			taken, *s = s.guessing(words), s.guessing(negated(words))
		}
		any = true
		if next == nil {
			next = r.list(1)
		}
		next = append(next, r.take(n.chain.Rules[i], branch, taken, e, depth)...)
		pass = t != yes
		return pass
	})
	if any && pass {
		next = append(next, *s)
	}
	return next, any
}

// acts says whether a branch does anything.
func acts(b *host.Branch) bool {
	return b.Verdict != host.Continue || len(b.Effects) > 0 || len(b.Assigns) > 0
}

// take does what a branch says to a packet that it takes, and gives the ways
// that go on to the next rule.
func (r *run) take(rule *host.Rule, b *host.Branch, s state, e *ends, depth int) []state {
	if len(b.Effects) == 0 && len(b.Assigns) == 0 {
		return r.verdict(rule, b, s, e, depth)
	}
	next := r.list(1)
	for _, done := range r.effects(rule, b, s) {
		if done.missed {
			next = append(next, done.state)
			continue
		}
		if done.ended {
			continue
		}
		next = append(next, r.verdict(rule, b, done.state, e, depth)...)
	}
	return next
}

func (r *run) verdict(rule *host.Rule, b *host.Branch, s state, e *ends, depth int) []state {
	switch b.Verdict {
	case host.Continue:
		return r.one(s)
	case host.Accept:
		if len(b.Effects) == 0 {
			s.note(r.step(rule, "accept"))
		}
		e.accepted = append(e.accepted, s)
	case host.Return:
		e.back = append(e.back, s)
	case host.Jump, host.Goto:
		return r.jump(rule, b, s, e, depth)
	case host.Drop:
		r.drop(rule, b, s)
	case host.Queue:
		r.unknown(s, "a process at a queue decides: "+r.ruleText(rule))
	case host.Stolen:
		r.unknown(s, "the packet is handed on: "+r.ruleText(rule))
	case host.Uncertain:
		r.unknown(s.guessing("a rule that is not understood may end it"), "a rule is not understood: "+r.ruleText(rule))
		return r.one(s)
	default: // NFT_BREAK and the like end the rule
		return r.one(s)
	}
	return nil
}

func (r *run) drop(rule *host.Rule, b *host.Branch, s state) {
	for _, a := range b.Assigns {
		if a.Field == host.FieldReject {
			r.reject(rule, a, s)
			return
		}
	}
	s.note(r.step(rule, "dropped"))
	r.nobody(s, Dropped, "dropped by "+r.ruleText(rule))
}

// reject tells the sender. An ICMP message of the input hook has the packet's
// destination as its source, which must be this host's.
func (r *run) reject(rule *host.Rule, a host.Assign, s state) {
	if r.base.chain.Base.Hook == "input" && a.Value != host.ByReset && r.mute(&s) {
		s.note(r.step(rule, "dropped"))
		r.nobody(s, Dropped, "dropped by "+r.ruleText(rule)+": this host cannot refuse in the name of an address that is not its own")
		return
	}
	s.note(r.step(rule, "refused"))
	r.nobody(s, Refused, "refused by "+r.ruleText(rule))
}

// jump runs another chain. A jump behind which nothing happened is no step.
func (r *run) jump(rule *host.Rule, b *host.Branch, s state, e *ends, depth int) []state {
	c := r.base.graph[b.Chain]
	if c == nil {
		r.unknown(s, "chain "+b.Chain+" could not be read")
		return nil
	}
	before := s.steps
	if r.cell == nil {
		s.note(r.step(rule, verb(b.Verdict)+" "+b.Chain))
	}
	mine := s.steps
	inner := r.chain(c, r.one(s), depth+1)
	e.accepted = append(e.accepted, inner.accepted...)
	for i := range inner.back {
		if inner.back[i].steps == mine {
			inner.back[i].steps = before
		}
	}
	if b.Verdict == host.Goto {
		e.back = append(e.back, inner.back...)
		return nil
	}
	return inner.back
}

func verb(v host.Verdict) string {
	if v == host.Goto {
		return "goto"
	}
	return "jump"
}
