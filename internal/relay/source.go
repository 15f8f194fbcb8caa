package relay

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"slices"
	"time"

	"golang.org/x/sys/unix"

	"github.com/natwarden/natwarden/internal/host"
)

// source is the name under which what could not be read is reported.
const source = "relays"

// Source finds relays among the listeners of a space, for the audit.
type Source struct {
	// Observe is how long connections are watched besides: a process that opens
	// one on each accept passes on. 0 does not watch.
	Observe time.Duration
}

// Name is the source's name in the report.
func (Source) Name() string { return source }

// Group is the source's name for --sources.
func (Source) Group() string { return source }

// Follows says that the listeners are read first.
func (Source) Follows() {}

// Read looks at the processes behind every listener of the space.
func (s Source) Read(ctx context.Context, into *host.Space) (host.Reading, error) {
	f := finder{space: into, found: map[int]found{}, seen: map[rowKey]bool{}, unix: unixListeners()}
	reading := host.Reading{State: host.Read, Objects: len(into.Listeners)}
	busy, err := f.connections(ctx)
	if err != nil {
		return reading, fmt.Errorf("reading connections: %w", err)
	}
	for i := range into.Listeners {
		if err := ctx.Err(); err != nil {
			return reading, fmt.Errorf("looking for relays: %w", err)
		}
		f.listener(&into.Listeners[i], busy)
	}
	if s.Observe > 0 {
		if err := f.watch(ctx, s.Observe); err != nil {
			return reading, err
		}
	}
	f.joinChains(ctx)
	for i := range f.rows {
		into.AddRedirects(f.redirect(&f.rows[i]))
	}
	reading.Blind = f.blind
	return reading, nil
}

// finder looks at one space.
type finder struct {
	space     *host.Space
	found     map[int]found     // by process: what its reader said
	unix      map[string]uint64 // paths of listening unix sockets
	installed map[string]string // identities of installed programs, read when first asked for
	rows      []row
	seen      map[rowKey]bool
	blind     []host.Blind
}

// A row is one hop of one listener, before it is written.
type row struct {
	listener *host.Listener
	process  *host.Process
	hop
	behind []string // evidence of what stands behind a destination on this host
}

// found is what a known program's reader said, once.
type found struct {
	known bool // a program that has a reader
	hops  []hop
	err   error
	// changed says that what was read may not be what runs.
	changed error
	far     func(b *busy) []destination // of a tunnel
}

// listener makes the rows of one listener: one for each destination set that
// one of its processes leads to.
func (f *finder) listener(l *host.Listener, busy *busy) {
	var failed []host.Blind
	said := false
	for i := range l.Processes {
		p := &l.Processes[i]
		ways, why := f.ways(l, p, busy)
		if why != nil {
			failed = append(failed, host.Blind{Source: source, What: fmt.Sprintf("%s (pid %d) on %s port %d", p.Name, p.PID, l.Proto, l.Port), Why: why.Error()})
		}
		said = said || why == nil && f.know(p).known
		for _, h := range ways {
			f.add(row{listener: l, process: p, hop: h})
		}
	}
	if !said && !onLoopback(l) { // what one process could not say, another of the same socket may have
		f.blind = append(f.blind, failed...)
	}
}

// add keeps a row unless the listener has one that leads to the same.
func (f *finder) add(w row) {
	key := rowKey{w.listener, fmt.Sprint(w.to, w.open)}
	if !f.seen[key] {
		f.seen[key] = true
		f.rows = append(f.rows, w)
	}
}

type rowKey struct {
	listener *host.Listener
	to       string
}

// ways gives the hops of a process that start at the listener: those of its
// configuration, and those of its connections where it leads nowhere else by that.
func (f *finder) ways(l *host.Listener, p *host.Process, busy *busy) ([]hop, error) {
	if isSSHD(p) {
		return sshdHop(l, p, busy), nil
	}
	k := f.know(p)
	out, plain := fitting(k.hops, l)
	for i := range out {
		if out[i].kind == "tunnel" && len(out[i].to) == 0 && k.far != nil {
			out[i].to = k.far(busy)
		}
	}
	err := k.err
	if len(k.hops) > 0 && len(out) == 0 {
		err = nil // it speaks of another listener
	}
	if f.stays(out) {
		if seen := busy.hops(l, p); len(seen) > 0 {
			return append(slices.DeleteFunc(out, func(h hop) bool { return h.rest }), seen...), nil
		}
		err = cmp.Or(err, k.changed)
		if !k.known {
			err = cmp.Or(err, busy.uncounted(l, p))
		}
	}
	if plain { // what it does here is known
		err = k.changed
	}
	return out, err
}

// fitting gives the hops of a listener. plain says that the program answers
// there itself.
func fitting(hops []hop, l *host.Listener) (out []hop, plain bool) {
	var rest []hop
	for _, h := range hops {
		switch {
		case h.proto != "" && h.proto != l.Proto && (h.proto != "tcp" || l.Proto != "mptcp") || !h.listen.takes(l):
		case h.serves:
			plain = true
		case h.rest:
			rest = append(rest, h)
		default:
			out = append(out, h)
		}
	}
	if len(out) == 0 && !plain {
		return rest, false
	}
	return out, plain && len(out) == 0
}

// stays says whether all destinations are on this host, or not known: then
// only what the process does can tell more.
func (f *finder) stays(hops []hop) bool {
	for _, h := range hops {
		if h.open || slices.ContainsFunc(h.to, func(d destination) bool { return d.outside(f.own) }) {
			return false
		}
	}
	return true
}

func isSSHD(p *host.Process) bool {
	switch programName(p.Exe) {
	case "sshd", "sshd-session", "dropbear":
		return true
	}
	return false
}

// know reads what a process is, once: the eldest of its line that runs the same
// program, which has the arguments that workers have not.
func (f *finder) know(h *host.Process) found {
	if k, ok := f.found[h.PID]; ok {
		return k
	}
	k := f.read(h)
	f.found[h.PID] = k
	return k
}

func (f *finder) read(h *host.Process) found {
	p, err := readProgram(elder(h))
	if err != nil {
		return found{known: !ended(err), err: err}
	}
	if known(p) == nil {
		p.name = f.trueName(p)
	}
	reader := known(p)
	if reader == nil {
		return found{}
	}
	k := found{known: true}
	k.hops, k.err = reader(p)
	if k.err == nil {
		k.changed = p.changedSince(h.PID)
	}
	k.far = func(b *busy) []destination { return sshFarEnd(p, b) }
	return k
}

// ended says whether the error is that of a process that is gone.
func ended(err error) bool {
	return errors.Is(err, fs.ErrNotExist) || errors.Is(err, unix.ESRCH)
}

func (f *finder) own(a netip.Addr) bool { return slices.Contains(f.space.Addrs, a.String()) }
