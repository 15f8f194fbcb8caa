package main

import (
	"io"

	"github.com/natwarden/natwarden/audit"
	"github.com/natwarden/natwarden/internal/path"
)

// writeExplanationJSON writes `explain -o json`, as docs/json.md describes it.
func writeExplanationJSON(w io.Writer, x *explanation) error {
	e := &encoder{w: w}
	e.open('{')
	e.num("schema_version", audit.SchemaVersion)
	e.nested("packet", true, func() { e.packet(&x.packet) })
	rows(e, "outcomes", x.answer.Outcomes, (*encoder).outcome)
	rows(e, "steps", x.answer.Steps, (*encoder).step)
	rows(e, "blind", x.blind, (*encoder).blind)
	e.close('}')
	e.b = append(e.b, '\n')
	e.flush()
	return e.err
}

func (e *encoder) packet(p *path.Packet) {
	e.str("proto", p.Proto.String())
	from := ""
	if p.From.IsValid() {
		from = p.From.String()
	}
	e.str("from", from)
	e.unum("sport", uint64(p.SPort))
	e.str("to", p.To.String())
	e.unum("port", uint64(p.Port))
	in := p.In
	if p.Own {
		in = "lo"
	}
	e.str("in", in)
}

func (e *encoder) outcome(o *path.Outcome) {
	e.bool("certain", o.Certain)
	e.str("condition", o.Condition)
	e.str("kind", o.Kind)
	e.str("answered_by", o.AnsweredBy)
	e.str("netns", o.Netns)
	if o.Listener != nil && len(o.Listener.Processes) > 0 {
		e.small("process", o.Listener.Processes[0])
	}
	e.str("reason", o.Reason)
}

func (e *encoder) step(s *path.Step) {
	e.str("netns", s.Netns)
	e.str("hook", s.Hook)
	e.num("priority", int64(s.Priority))
	e.str("rule", s.Rule)
	e.str("effect", s.Effect)
}
