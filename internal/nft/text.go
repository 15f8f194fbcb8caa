package nft

import (
	"fmt"
	"strings"

	"github.com/natwarden/natwarden/internal/host"
)

// text writes a rule in the language of its writer.
func (m *machine) text(raw *Rule, out *host.Rule) string {
	w := m.textWriter()
	switch out.Writer {
	case writerIptables:
		return w.iptables(raw, out)
	case writerEbtables:
		return w.ebtables(raw, out)
	}
	if line := w.nft(raw, out); line != "" {
		return line
	}
	return "(" + strings.Join(out.Opaque, ", ") + ")"
}

// textWriter runs the expressions of a rule once more, on a machine with a
// single state, for their words.
type textWriter struct {
	m     *machine
	state *state
	xt    []string // what xt said about matches and targets, in order
	parts []statement
	maps  map[int32]mapped // values that come from a map
	f     fields
}

// statement is a piece of a line of nft. One that only asks for a protocol is
// left out where a later one names the protocol anyway ("tcp dport 80").
type statement struct {
	text   string
	needs  string // the protocol asked for: "tcp ", "ip "
	low    int32  // value of a comparison ">=", which a "<=" makes a range
	bottom []byte
}

// mapped is a lookup whose data is written once it is known what it is used for.
type mapped struct {
	look  look
	parts []keyPart
	words string
}

// textWriter gives the writer of this chain's lines, as new.
func (m *machine) textWriter() *textWriter {
	if m.writes == nil {
		m.writes = &textWriter{m: &machine{t: m.t, chain: m.chain}, maps: map[int32]mapped{}}
	}
	w := m.writes
	w.m.reset()
	w.m.strict = false
	w.state, w.xt, w.parts = &w.m.states[0], m.xtTexts, w.parts[:0]
	clear(w.maps)
	return w
}

func (w *textWriter) nft(raw *Rule, out *host.Rule) string {
	w.m.strict = true
	eachExpr(raw.Exprs, func(name, data []byte) {
		clear(w.f[:])
		w.f.read(data)
		w.statement(string(name), &w.f)
	})
	line := w.line()
	if comment := commentOf(raw.Userdata); comment != "" {
		line += " comment " + quoted(comment)
	}
	return line
}

func (w *textWriter) line() string {
	var b strings.Builder
	b.Grow(64)
	for _, p := range w.parts {
		if p.text == "" {
			continue
		}
		if b.Len() > 0 {
			b.WriteByte(' ')
		}
		b.WriteString(p.text)
	}
	return b.String()
}

func (w *textWriter) say(text string) { w.parts = append(w.parts, statement{text: text}) }

// statement writes one expression, or runs it for what it loads.
func (w *textWriter) statement(name string, f *fields) {
	switch name {
	case "cmp":
		w.cmp(f)
	case "range":
		w.compared(f.u32(1), rangeTest(f))
	case "lookup":
		w.lookup(f)
	case "immediate":
		w.immediate(f)
	case "payload", "meta", "ct":
		if source := sourceRegister(name); f.has(source) {
			w.assign(name, f, f.u32(source))
			return
		}
		steps[name].run(w.m, f)
	case "match", "target":
		w.say("xt " + name + " " + quoted(f.text(1)))
	default:
		w.other(name, f)
	}
}

// sourceRegister is the attribute of an expression that writes instead of
// loading.
func sourceRegister(name string) int {
	switch name {
	case "payload":
		return 5 // NFTA_PAYLOAD_SREG
	case "meta":
		return 3 // NFTA_META_SREG
	}
	return 4 // NFTA_CT_SREG
}

// other writes what is no comparison.
func (w *textWriter) other(name string, f *fields) {
	if say, ok := plainTexts[name]; ok {
		if text := say(w, f); text != "" {
			w.say(text)
		}
		return
	}
	do, known := steps[name]
	if !known {
		w.say("expression " + quoted(name))
		return
	}
	if do.run != nil {
		do.run(w.m, f)
	}
}

func rangeTest(f *fields) test {
	t := test{op: opIn, lo: f.data(3), hi: f.data(4)}
	if f.u32(2) == 1 {
		t.op = opOut
	}
	return t
}

// cmp writes a comparison; ">= a" and "<= b" of the same value become "a-b".
func (w *textWriter) cmp(f *fields) {
	t := test{op: op(f.u32(2)), lo: f.data(3)}
	slot, ok := slotOf(f.u32(1))
	if ok && t.op == opLte && len(w.parts) > 0 {
		last := &w.parts[len(w.parts)-1]
		if last.bottom != nil && last.low == w.state.regs[slot].value {
			t = test{op: opIn, lo: last.bottom, hi: t.lo}
			w.parts = w.parts[:len(w.parts)-1]
		}
	}
	w.compared(f.u32(1), t)
	if ok && t.op == opGte && len(w.parts) > 0 {
		last := &w.parts[len(w.parts)-1]
		last.low, last.bottom = w.state.regs[slot].value, t.lo
	}
}

func (w *textWriter) compared(register uint32, t test) {
	v := w.m.get(w.state, register, len(t.lo))
	text := w.m.testWords(w.state, &v, t)
	w.drop(text)
	w.parts = append(w.parts, statement{text: text, needs: asks(&v, t, text)})
	w.m.narrow(w.state, &v, t)
}

// drop leaves out the statements that text implies.
func (w *textWriter) drop(text string) {
	for i := range w.parts {
		p := &w.parts[i]
		if p.needs != "" && strings.HasPrefix(text, p.needs) {
			p.text, p.needs = "", ""
		}
	}
}

// asks gives the word of a protocol that a test asks for, with a blank.
func asks(v *value, t test, text string) string {
	if t.op != opEq || v.kind != loaded {
		return ""
	}
	at := strings.LastIndexByte(text, ' ')
	switch text[:at+1] {
	case "meta l4proto ", "ip protocol ", "ip6 nexthdr ", "meta protocol ", "ether type ":
		return text[at+1:] + " "
	case "meta nfproto ":
		return "ip" + strings.TrimPrefix(strings.TrimPrefix(text[at+1:], "ipv"), "4") + " "
	case "iiftype ":
		return text[at+1:] + " "
	}
	return ""
}

// lookup writes membership, and keeps a map's data for whoever uses it.
func (w *textWriter) lookup(f *fields) {
	l := look{name: f.text(1), sreg: f.u32(2), dreg: f.u32(3), not: f.u32(5)&1 != 0, set: w.m.t.sets[f.text(1)]}
	if l.set == nil {
		w.say("@" + l.name)
		return
	}
	parts := w.m.key(w.state, l.sreg, int(l.set.raw.KeyLen))
	for i := range parts {
		w.drop(w.m.describe(w.state, &parts[i].value) + " ")
	}
	switch {
	case !f.has(3):
		w.say(w.m.lookWords(w.state, l, parts, ""))
		w.m.lookPlain(w.state, l, parts)
	case l.dreg == verdictRegister:
		w.say(w.m.keyPartsWords(w.state, parts) + " vmap " + w.elements(l, parts, verdictText))
	default:
		words := w.m.keyPartsWords(w.state, parts) + " map "
		v := foreignOf(words+"@"+l.name, int(l.set.raw.DataLen))
		w.maps[int32(len(w.m.values))] = mapped{l, parts, words}
		w.m.put(w.state, l.dreg, v)
	}
}

// lookPlain narrows to a set without forking, for the names of what follows.
func (m *machine) lookPlain(s *state, l look, parts []keyPart) {
	if len(parts) == 1 && len(l.set.elements()) > 0 {
		m.narrowToSet(s, l, &parts[0].value)
	}
}

// elements writes a map: its name, or its elements with their data.
func (w *textWriter) elements(l look, parts []keyPart, data func(*element) string) string {
	if !l.set.anonymous {
		return "@" + l.name
	}
	var items []string
	for i := range l.set.elements() {
		e := &l.set.elems[i]
		if i == maxShown {
			items = append(items, "…")
			break
		}
		items = append(items, w.m.elementText(w.state, e, parts)+" : "+data(e))
	}
	return "{ " + strings.Join(items, ", ") + " }"
}

func verdictText(e *element) string {
	switch e.verdict {
	case host.Accept:
		return "accept"
	case host.Drop:
		return "drop"
	case host.Return:
		return "return"
	case host.Jump:
		return "jump " + e.chain
	case host.Goto:
		return "goto " + e.chain
	case host.Queue:
		return fmt.Sprintf("queue to %d", e.queue-1)
	case host.Continue:
		return "continue"
	}
	return "stolen"
}

func (w *textWriter) immediate(f *fields) {
	if f.u32(1) != verdictRegister {
		w.m.putAll(f.u32(1), constantOf(f.data(2)))
		return
	}
	_, payload, _, _ := cutAttr(f[2])
	var e element
	e.verdict, e.chain, e.queue, _ = readVerdict(payload)
	if w.m.t.anon[e.chain] {
		e.chain = "{ … }"
	}
	w.say(verdictText(&e))
}
