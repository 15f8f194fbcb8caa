package main

import (
	"fmt"
	"strings"

	"github.com/natwarden/natwarden/internal/host"
	"github.com/natwarden/natwarden/internal/path"
)

// writeExplanation writes who answers, then the way.
func (p *page) writeExplanation(e *explanation) {
	for _, o := range e.answer.Outcomes {
		p.outcome(&o)
	}
	p.heading("Packet")
	p.item(packetWords(&e.packet))
	for _, n := range e.notes {
		p.item(n)
	}
	p.heading("The way")
	if len(e.answer.Steps) == 0 {
		p.item("no rule mattered")
	}
	for i, s := range e.answer.Steps {
		p.item(fmt.Sprintf("%d. %s", i+1, stepWords(&s)))
		p.field("rule", s.Rule)
	}
	if len(e.blind) == 0 {
		return
	}
	p.heading("Not read or not understood")
	for _, b := range e.blind[:p.cut(len(e.blind))] {
		p.item(b.Source + " " + b.What + ": " + b.Why)
	}
	p.more(len(e.blind))
}

// stepWords writes a step: where and when, and what is done.
func stepWords(s *path.Step) string {
	if s.Hook == path.Link {
		return s.Effect
	}
	text := fmt.Sprintf("%s %d: %s", s.Hook, s.Priority, s.Effect)
	if s.Netns != "" {
		text = s.Netns + " " + text
	}
	return text
}

// outcome writes one way in which it can end.
func (p *page) outcome(o *path.Outcome) {
	colour, text := green, ""
	switch o.Kind {
	case path.Local:
		text = "THIS HOST: " + o.AnsweredBy + holderWords(o.Listener)
	case path.Forwarded:
		colour, text = bold, "ANOTHER HOST: "+o.AnsweredBy+" ("+o.Reason+")"
		if o.Listener != nil {
			text = namespaceWords(o.Netns) + o.AnsweredBy + holderWords(o.Listener)
		}
	case path.Nobody:
		colour, text = bold, "NOBODY: "+o.Reason
	default:
		colour, text = yellow, "NOT KNOWN: "+o.Reason
	}
	if !o.Certain && o.Kind != path.Unknown {
		colour, text = yellow, "MAYBE "+text
	}
	p.paragraph(colour, text)
	if o.Condition != "" {
		p.field("if", o.Condition)
	}
}

func namespaceWords(netns string) string {
	if netns == "" {
		return "WHERE NATWARDEN WAS STARTED: "
	}
	return "IN NETWORK NAMESPACE " + netns + ": "
}

func holderWords(l *host.Listener) string {
	var names []string
	for _, x := range l.Processes {
		text := fmt.Sprintf("%s (pid %d)", x.Name, x.PID)
		if x.Container != "" {
			text += " of container " + x.Container
		}
		names = append(names, text)
	}
	if len(names) == 0 {
		return ""
	}
	return ", " + strings.Join(names, ", ")
}
