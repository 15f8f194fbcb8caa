package route

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"sync"

	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"

	"github.com/natwarden/natwarden/internal/host"
)

// Router asks the kernel how a network namespace routes a packet
// (RTM_GETROUTE, as `ip route get` does). Asking changes nothing.
// It may be used by several goroutines and from any thread.
type Router struct {
	mu     sync.Mutex
	conn   conn
	view   *view
	links  map[string]uint32
	types  []typed
	byMark bool
	known  map[host.RouteQuery]host.Route
	reach  *reach // nil: not read yet
}

// typed is a route of the local table, by which addresses get their type.
type typed struct {
	prefix netip.Prefix
	kind   uint8
}

// OpenRouter makes a Router for the namespace of the calling thread. The
// caller closes it.
func OpenRouter(ctx context.Context) (*Router, error) {
	v, err := load(ctx)
	if err != nil {
		return nil, fmt.Errorf("reading routes: %w", err)
	}
	return openRouter(ctx, v)
}

// openRouter makes a Router of what was read in the namespace of the calling
// thread. Its socket outlives the reading of a source.
func openRouter(ctx context.Context, v *view) (*Router, error) {
	c, err := dial(context.WithoutCancel(ctx))
	if err != nil {
		return nil, err
	}
	r := &Router{conn: c, view: v, links: map[string]uint32{}, known: map[host.RouteQuery]host.Route{}}
	if err := r.load(); err != nil {
		c.Close()
		return nil, fmt.Errorf("reading routes: %w", err)
	}
	return r, nil
}

func (r *Router) load() error {
	for index, name := range r.view.links {
		r.links[name] = index
	}
	for _, rule := range r.view.rules {
		r.byMark = r.byMark || rule.hasMark
	}
	for _, family := range []uint8{unix.AF_INET, unix.AF_INET6} {
		if err := r.loadTypes(family); err != nil {
			return err
		}
	}
	return nil
}

func (r *Router) loadTypes(family uint8) error {
	header := make([]byte, unix.SizeofRtMsg)
	header[0] = family
	ae := netlink.NewAttributeEncoder()
	ae.Uint32(unix.RTA_TABLE, unix.RT_TABLE_LOCAL)
	attrs, err := ae.Encode()
	if err != nil {
		return fmt.Errorf("asking for the local table: %w", err)
	}
	msgs, err := r.conn.dump(unix.RTM_GETROUTE, append(header, attrs...))
	if errors.Is(err, unix.ENOENT) || errors.Is(err, unix.EAFNOSUPPORT) || errors.Is(err, unix.EOPNOTSUPP) {
		return nil
	}
	if err != nil {
		return err
	}
	for _, b := range msgs {
		x, err := decodeRoute(b)
		if err != nil {
			return err
		}
		if x.family == family && x.table == unix.RT_TABLE_LOCAL {
			r.types = append(r.types, typed{x.dst, x.kind})
		}
	}
	return nil
}

// Close lets the socket go.
func (r *Router) Close() error { return r.conn.Close() }

// ByMark says whether a policy rule looks at the packet mark.
func (r *Router) ByMark() bool { return r.byMark }

// Route asks the kernel for the way of a packet.
func (r *Router) Route(q host.RouteQuery) host.Route {
	r.mu.Lock()
	defer r.mu.Unlock()
	if found, ok := r.known[q]; ok {
		return found
	}
	found := r.get(q)
	r.known[q] = found
	return found
}

// get asks the kernel. A router lives as long as the audit, which on a busy
// machine is longer than any one answer may take: each has its own time.
func (r *Router) get(q host.RouteQuery) host.Route {
	data, err := r.request(q)
	if err != nil {
		return host.Route{Why: err.Error()}
	}
	if err := r.conn.limit(context.Background()); err != nil {
		return host.Route{Why: err.Error()}
	}
	msgs, err := r.conn.Execute(netlink.Message{Header: netlink.Header{Type: unix.RTM_GETROUTE, Flags: netlink.Request}, Data: data})
	if err != nil {
		return refused(err)
	}
	if len(msgs) == 0 {
		return host.Route{Why: "the kernel gave no answer"}
	}
	x, err := decodeRoute(msgs[0].Data)
	if err != nil {
		return host.Route{Why: err.Error()}
	}
	return r.answer(q, x)
}

// request writes what `ip route get` asks.
func (r *Router) request(q host.RouteQuery) ([]byte, error) {
	header := make([]byte, unix.SizeofRtMsg)
	header[0], header[1] = unix.AF_INET, uint8(q.Dst.BitLen())
	if !q.Dst.Is4() {
		header[0] = unix.AF_INET6
	}
	ae := netlink.NewAttributeEncoder()
	ae.Bytes(unix.RTA_DST, q.Dst.AsSlice())
	if q.Src.IsValid() {
		header[2] = uint8(q.Src.BitLen())
		ae.Bytes(unix.RTA_SRC, q.Src.AsSlice())
	}
	if q.In != "" {
		index, ok := r.links[q.In]
		if !ok {
			return nil, fmt.Errorf("there is no interface %s", q.In)
		}
		ae.Uint32(unix.RTA_IIF, index)
	}
	if q.Mark != 0 {
		ae.Uint32(unix.RTA_MARK, q.Mark)
	}
	ports(ae, q)
	attrs, err := ae.Encode()
	if err != nil {
		return nil, fmt.Errorf("asking for a route: %w", err)
	}
	return append(header, attrs...), nil
}

// ports adds what policy rules may look at; the kernel takes it of TCP and UDP.
func ports(ae *netlink.AttributeEncoder, q host.RouteQuery) {
	if q.Proto != host.TCP && q.Proto != host.UDP {
		return
	}
	ae.Uint8(unix.RTA_IP_PROTO, uint8(q.Proto))
	for kind, port := range map[uint16]uint16{unix.RTA_SPORT: q.SPort, unix.RTA_DPORT: q.DPort} {
		if port != 0 {
			ae.Bytes(kind, binary.BigEndian.AppendUint16(nil, port))
		}
	}
}

// refused reads an error as the kernel's verdict about the packet.
func refused(err error) host.Route {
	for _, known := range []struct {
		errno error
		why   string
	}{
		{unix.EHOSTUNREACH, "the destination is unreachable, or this host does not forward"},
		{unix.ENETUNREACH, "the network is unreachable"},
		{unix.EACCES, "a route prohibits it"},
		{unix.EXDEV, "the reverse path filter drops it"},
		{unix.EINVAL, "the kernel takes source or destination for impossible on that interface (martian)"},
	} {
		if errors.Is(err, known.errno) {
			return host.Route{Kind: host.RouteUnreachable, Why: known.why}
		}
	}
	return host.Route{Why: err.Error()}
}

func (r *Router) answer(q host.RouteQuery, x route) host.Route {
	switch x.kind {
	case unix.RTN_LOCAL, unix.RTN_ANYCAST:
		return host.Route{Kind: host.RouteLocal}
	case unix.RTN_BROADCAST:
		return host.Route{Kind: host.RouteBroadcast}
	case unix.RTN_MULTICAST:
		return host.Route{Kind: host.RouteMulticast}
	case unix.RTN_UNICAST:
		if x.via.IsValid() {
			x.gateway = x.via
		}
		if q.In != "" && q.Dst.Is6() && !r.view.sysctl.forward6 {
			return host.Route{Kind: host.RouteUnreachable, Why: "this host does not forward IPv6"}
		}
		return host.Route{Kind: host.RouteUnicast, Out: r.view.ifname(x.oif), Via: x.gateway}
	}
	return host.Route{Kind: host.RouteUnreachable, Why: "a route throws it away"}
}

// TypeOf is the address type that the local table gives (inet_addr_type).
func (r *Router) TypeOf(a netip.Addr) (uint32, bool) {
	switch {
	case a.IsMulticast():
		return unix.RTN_MULTICAST, true
	case a == netip.AddrFrom4([4]byte{255, 255, 255, 255}) || a.Is4() && a.As4()[0] == 0:
		return unix.RTN_BROADCAST, true
	}
	best := typed{kind: unix.RTN_UNICAST, prefix: netip.PrefixFrom(netip.IPv4Unspecified(), 0)}
	found := false
	for _, t := range r.types {
		if t.prefix.Contains(a) && (!found || t.prefix.Bits() >= best.prefix.Bits()) {
			best, found = t, true
		}
	}
	if a.Is6() && !found { // the type of others follows from all routes
		way := r.Route(host.RouteQuery{Dst: a})
		if way.Kind == host.RouteUnreachable {
			return unix.RTN_UNREACHABLE, true
		}
		return unix.RTN_UNICAST, way.Kind == host.RouteUnicast
	}
	return uint32(best.kind), true
}

// First is the address that REDIRECT gives on an interface: the first one, of
// IPv6 the first of the same scope (net/netfilter/nf_nat_redirect.c).
func (r *Router) First(iface string, like netip.Addr) netip.Addr {
	for _, a := range r.view.addresses {
		own := a.prefix.Addr()
		if r.view.ifname(a.ifindex) != iface || own.Is4() != like.Is4() || a.flags&unix.IFA_F_TENTATIVE != 0 {
			continue
		}
		if own.Is4() || own.IsLinkLocalUnicast() == like.IsLinkLocalUnicast() {
			return own
		}
	}
	return netip.Addr{}
}

// Holder is the interface, other than the loopback, that holds an address; "" for none.
func (r *Router) Holder(a netip.Addr) string {
	for _, own := range r.view.addresses {
		if name := r.view.ifname(own.ifindex); own.prefix.Addr() == a && name != "lo" {
			return name
		}
	}
	return ""
}

// Holds says whether an interface has an address.
func (r *Router) Holds(iface string, a netip.Addr) bool {
	for _, own := range r.view.addresses {
		if own.prefix.Addr() == a && r.view.ifname(own.ifindex) == iface {
			return true
		}
	}
	return false
}

// Senders are the networks for whose packets, by their source, policy rules
// choose a route of their own.
func (r *Router) Senders() []netip.Prefix {
	var out []netip.Prefix
	for _, rule := range r.view.rules {
		if rule.src.Bits() > 0 && !slices.Contains(out, rule.src) {
			out = append(out, rule.src)
		}
	}
	return out
}
