package xtables

import (
	"cmp"
	"fmt"

	"github.com/natwarden/natwarden/internal/host"
	"github.com/natwarden/natwarden/internal/xt"
)

// outcome is what a target does.
type outcome struct {
	verdict host.Verdict
	chain   string
	effects []host.Effect
	assigns []host.Assign
}

// verdict decodes the target of the entry at index i and notes its text.
func (d *decoder) verdict(p *parts, i int) outcome {
	target := d.l.target(p.raw)
	if isStandard(target) {
		return d.standard(p, i, standardVerdict(target))
	}
	e := ext(d.t.Family, target)
	r, ok := xt.Target(e, d.env)
	for _, set := range r.Fills {
		d.out.Filled[set] = true
	}
	if ok {
		p.target = r.Text
		return outcome{verdict: r.Verdict, effects: r.Effects, assigns: r.Assigns}
	}
	what := fmt.Sprintf("target %q revision %d", e.Name, e.Revision)
	p.opaque = append(p.opaque, what)
	p.target = cmp.Or(r.Text, unprintable("-j", e))
	return uncertain(what + " is not understood")
}

func uncertain(why string) outcome {
	return outcome{verdict: host.Uncertain, effects: []host.Effect{{Unknown: why}}}
}

// standard decodes a target that is a verdict, a jump, or nothing.
func (d *decoder) standard(p *parts, i int, v int32) outcome {
	switch v {
	case verdictAccept:
		p.target = "-j ACCEPT"
		return outcome{verdict: host.Accept}
	case verdictDrop:
		p.target = "-j DROP"
		return outcome{verdict: host.Drop}
	case verdictReturn:
		p.target = "-j RETURN"
		return outcome{verdict: host.Return}
	case verdictQueue:
		p.target = "-j QUEUE"
		return outcome{verdict: host.Queue, effects: []host.Effect{{Kind: "queue", Evidence: []string{"queue 0"}}}}
	}
	if v < 0 {
		what := fmt.Sprintf("verdict %d", v)
		p.opaque = append(p.opaque, what)
		return uncertain(what + " is not understood")
	}
	return d.jump(p, i, v)
}

func (d *decoder) jump(p *parts, i int, v int32) outcome {
	chain, known := d.t.Jump(i, d.starts)
	switch {
	case !known:
		what := fmt.Sprintf("jump to byte %d", v)
		p.opaque = append(p.opaque, what)
		return uncertain(what + ", where no chain starts")
	case chain == "":
		return outcome{verdict: host.Continue}
	case d.l.isGoto(p.raw):
		p.target = "-g " + Quote(chain)
		return outcome{verdict: host.Goto, chain: chain}
	}
	p.target = "-j " + Quote(chain)
	return outcome{verdict: host.Jump, chain: chain}
}
