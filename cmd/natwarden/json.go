package main

import (
	"encoding/json"
	"fmt"
	"io"
	"time"

	"github.com/natwarden/natwarden/audit"
	"github.com/natwarden/natwarden/internal/host"
)

// writeReportJSON writes a report as the contract's `audit -o json`. Rows are
// encoded by hand, one a line: a host with 50,000 redirects must not wait for
// reflection. Lists are never null, and their order is the report's.
func writeReportJSON(w io.Writer, r *audit.Report) error {
	e := &encoder{w: w}
	e.open('{')
	e.num("schema_version", int64(r.SchemaVersion))
	e.small("tool", r.Tool)
	e.str("status", r.Status)
	e.num("exit_code", int64(r.ExitCode))
	e.str("taken_at", r.TakenAt.UTC().Format(time.RFC3339))
	e.small("host", r.Host)
	e.small("policy", r.Policy)
	e.scope(r.Scope)
	rows(e, "redirects", r.Redirects, (*encoder).redirect)
	rows(e, "listeners", r.Listeners, (*encoder).listener)
	rows(e, "ports", r.Ports, (*encoder).portRow)
	rows(e, "exceptions_used", r.ExceptionsUsed, (*encoder).exception)
	rows(e, "blind", r.Blind, (*encoder).blind)
	e.strs("doubts", r.Doubts)
	e.close('}')
	e.b = append(e.b, '\n')
	e.flush()
	if e.err != nil {
		return fmt.Errorf("writing the report: %w", e.err)
	}
	return nil
}

// rows writes a list with a line for each member.
func rows[T any](e *encoder, key string, list []T, one func(*encoder, *T)) {
	e.key(key)
	e.open('[')
	for i := range list {
		e.comma()
		e.b = append(e.b, '\n')
		e.open('{')
		one(e, &list[i])
		e.close('}')
		if len(e.b) > 1<<16 {
			e.flush()
		}
	}
	e.close(']')
}

func (e *encoder) scope(s audit.Scope) {
	e.key("scope")
	e.open('{')
	e.strs("netns", s.Netns)
	e.str("pid_namespace", s.PIDNamespace)
	e.str("root", s.Root)
	rows(e, "sources", s.Sources, (*encoder).source)
	e.close('}')
}

func (e *encoder) source(s *host.SourceState) {
	e.str("name", s.Name)
	e.str("state", s.State)
	e.num("objects", int64(s.Objects))
	e.str("why", s.Why)
}

func (e *encoder) redirect(r *host.Redirect) {
	e.str("id", r.ID)
	e.str("mechanism", r.Mechanism)
	e.str("kind", r.Kind)
	e.str("state", r.State)
	e.strs("why", r.Why)
	e.str("direction", r.Direction)
	e.str("netns", r.Netns)
	e.num("netns_uid", int64(r.NetnsUID))
	e.str("family", string(r.Family))
	e.str("proto", r.Proto)
	e.str("ports", r.Ports)
	e.str("address", r.Address)
	e.str("source", r.Source)
	e.strs("conditions", r.Conditions)
	e.strs("to", r.To)
	e.nested("rule", r.Rule != nil, func() { e.rule(r.Rule) })
	e.nested("file", r.File != nil, func() { e.str("path", r.File.Path); e.num("line", int64(r.File.Line)) })
	e.nested("process", r.Process != nil, func() { e.process(r.Process) })
	e.nested("owner", r.Owner != nil, func() { e.owner(r.Owner) })
	e.strs("evidence", r.Evidence)
	e.str("verdict", r.Verdict)
	e.str("allowed_by", r.AllowedBy)
	e.str("advice", r.Advice)
}

func (e *encoder) rule(r *host.RuleRef) {
	e.str("backend", r.Backend)
	e.str("writer", r.Writer)
	e.str("family", string(r.Family))
	e.str("table", r.Table)
	e.str("chain", r.Chain)
	e.str("hook", r.Hook)
	e.num("priority", int64(r.Priority))
	e.key("paths")
	e.open('[')
	for _, path := range r.Paths {
		e.comma()
		e.list(path)
	}
	e.close(']')
	e.unum("handle", r.Handle)
	e.num("index", int64(r.Index))
	e.str("element", r.Element)
	e.str("comment", r.Comment)
	e.str("text", r.Text)
	if len(r.Devices) > 0 {
		e.strs("devices", r.Devices)
	}
}

func (e *encoder) process(p *host.Process) {
	e.num("pid", int64(p.PID))
	e.str("name", p.Name)
	e.str("exe", p.Exe)
	e.bool("deleted", p.Deleted)
	e.strs("args", p.Args)
	e.str("unit", p.Unit)
	e.str("container", p.Container)
	e.str("netns", p.Netns)
}

func (e *encoder) owner(o *host.Owner) {
	e.str("kind", o.Kind)
	e.str("name", o.Name)
	e.str("evidence", o.Evidence)
}

func (e *encoder) listener(l *host.Listener) {
	e.str("id", l.ID)
	e.str("proto", l.Proto)
	e.str("address", l.Address)
	e.num("port", int64(l.Port))
	e.str("netns", l.Netns)
	e.num("uid", int64(l.UID))
	e.str("user", l.User)
	e.bool("transparent", l.Transparent)
	e.key("processes")
	e.open('[')
	for i := range l.Processes {
		e.comma()
		e.open('{')
		e.process(&l.Processes[i])
		e.close('}')
	}
	e.close(']')
	e.str("verdict", l.Verdict)
	e.str("allowed_by", l.AllowedBy)
	e.str("advice", l.Advice)
}

func (e *encoder) portRow(p *audit.PortRow) {
	e.str("proto", p.Proto)
	e.str("family", string(p.Family))
	e.str("address", p.Address)
	e.str("ports", p.Ports)
	e.str("condition", p.Condition)
	e.strs("answered_by", p.AnsweredBy)
	e.strs("redirects", p.Redirects)
	if p.Netns != "" {
		e.str("netns", p.Netns)
	}
	if p.Reason != "" {
		e.str("reason", p.Reason)
	}
}

func (e *encoder) exception(x *audit.Exception) {
	e.str("id", x.ID)
	e.str("reason", x.Reason)
	e.str("owner", x.Owner)
	e.str("expires", x.Expires)
}

func (e *encoder) blind(b *host.Blind) {
	e.str("source", b.Source)
	e.str("what", b.What)
	e.str("why", b.Why)
}

// writeJSON writes a small result; large ones have encoders of their own.
func writeJSON(w io.Writer, v any) error {
	data, err := marshal(v)
	if err != nil {
		return err
	}
	if _, err := w.Write(append(data, '\n')); err != nil {
		return fmt.Errorf("writing the result: %w", err)
	}
	return nil
}

// marshal is encoding/json with the encoder's care for terminals.
func marshal(v any) ([]byte, error) {
	data, err := json.Marshal(v)
	if err != nil {
		return nil, fmt.Errorf("encoding the result: %w", err)
	}
	return tame(data), nil
}
