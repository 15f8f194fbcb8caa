package sock

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"slices"

	"golang.org/x/sys/unix"

	"github.com/natwarden/natwarden/internal/host"
	"github.com/natwarden/natwarden/internal/kmod"
)

// source is the name under which what could not be read is reported.
const source = "sockets"

// Read lists the sockets that answer in the network namespace of the calling
// thread, which the caller has locked. Of each Listener it fills protocol,
// address, port, uid, inode, device and the socket options; not who holds it.
//
// A protocol that the kernel does not have is absent from the list; one that
// could not be read is in the Blind values. An error means that ctx ended.
//
// The kernel lists an MPTCP listener twice, as such and as the TCP socket of
// its first subflow with the same inode: it is one, which answers both kinds of
// client (Listener.MPTCP).
func Read(ctx context.Context) ([]host.Listener, []host.Blind, error) {
	r := newReader(ctx, kmod.Read())
	defer r.close()
	for _, k := range kinds() {
		for v6 := range 2 {
			if err := ctx.Err(); err != nil {
				return nil, nil, fmt.Errorf("reading sockets: %w", err)
			}
			if err := r.read(k, v6); err != nil {
				r.blind = append(r.blind, host.Blind{Source: source, What: what(k, v6), Why: err.Error()})
			}
		}
	}
	r.twice()
	return onePerSocket(r.found), r.blind, nil
}

// onePerSocket joins the two rows of an MPTCP listener.
func onePerSocket(list []host.Listener) []host.Listener {
	type place struct {
		inode   uint64
		address string
		port    uint16
	}
	multi := map[place]bool{}
	for i := range list {
		if l := &list[i]; l.Proto == "mptcp" && l.Inode != 0 {
			multi[place{l.Inode, l.Address, l.Port}] = true
		}
	}
	if len(multi) == 0 {
		return list
	}
	joined := map[place]bool{}
	for i := range list {
		if at := (place{list[i].Inode, list[i].Address, list[i].Port}); list[i].Proto == "tcp" && multi[at] {
			list[i].MPTCP, joined[at] = true, true
		}
	}
	return slices.DeleteFunc(list, func(l host.Listener) bool {
		return l.Proto == "mptcp" && joined[place{l.Inode, l.Address, l.Port}]
	})
}

func what(k kind, v6 int) string {
	return fmt.Sprintf("%s sockets over IPv%d", k.name, 4+2*v6)
}

// reader reads the sockets of one namespace.
type reader struct {
	ctx     context.Context
	known   map[string]bool // nil: not known
	modules kmod.Modules
	diag    *diagConn
	devices map[uint32]string
	texts   map[netip.Addr]string
	asked   []asked // what sock_diag has answered
	found   []host.Listener
	blind   []host.Blind
}

func newReader(ctx context.Context, m kmod.Modules) *reader {
	return &reader{ctx: ctx, known: registered(), modules: m, devices: map[uint32]string{}, texts: map[netip.Addr]string{}}
}

func (r *reader) close() {
	if r.diag != nil {
		r.diag.Close()
	}
}

// read lists one protocol of one family: by sock_diag where that loads no
// module, else from /proc/net.
func (r *reader) read(k kind, v6 int) error {
	if r.known != nil && !r.known[k.registered[v6]] {
		return nil
	}
	err := errNotLoaded
	if r.modules.Have(k.modules...) {
		if err = r.ask(k, v6); err == nil {
			r.asked = append(r.asked, asked{k, v6})
			return nil
		}
	}
	if k.name == "mptcp" && (err == errNotLoaded || unsupported(err)) {
		return nil // read as tcp: see kinds
	}
	if errors.Is(err, errNotLoaded) || unsupported(err) {
		return r.readProcNet(k, v6)
	}
	return err
}

// errNotLoaded says that asking the kernel would load a module.
var errNotLoaded = errors.New("the kernel module that lists these sockets is not loaded")

// unsupported says whether the kernel has no sock_diag for what was asked.
func unsupported(err error) bool {
	return errors.Is(err, os.ErrNotExist) || errors.Is(err, unix.EINVAL) ||
		errors.Is(err, unix.EPROTONOSUPPORT) || errors.Is(err, unix.EOPNOTSUPP) || errors.Is(err, unix.EAFNOSUPPORT)
}
