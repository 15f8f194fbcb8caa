package main

import (
	"cmp"
	"context"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"golang.org/x/sys/unix"

	"github.com/natwarden/natwarden/internal/host"
	"github.com/natwarden/natwarden/internal/netns"
	"github.com/natwarden/natwarden/internal/path"
)

// ExplainOptions are the flags of explain.
type ExplainOptions struct {
	From  string
	SPort uint16
	To    string
	In    string
}

// AddFlags defines the flags.
func (o *ExplainOptions) AddFlags(f *pflag.FlagSet) {
	f.StringVar(&o.From, "from", "", "`ADDR` of the sender; without it any, and rules that ask for a source split the answer")
	f.Uint16Var(&o.SPort, "sport", 0, "source `PORT`; without it any")
	f.StringVar(&o.To, "to", "", "destination `ADDR`; without it the first address of the interface")
	f.StringVar(&o.In, "in", "", "`IFACE` on which the packet arrives; without it the one by which the sender is reached; lo: sent by this host")
}

func newExplain(a *app) *cobra.Command {
	var o ExplainOptions
	cmd := &cobra.Command{
		Use:   "explain PROTO/PORT",
		Short: "show the way of one packet, and who answers it",
		Long: "Says who answers the first packet of a connection to a port: a process of this\n" +
			"host, another host, or nobody, and which rules decided that. Nothing is sent\n" +
			"and nothing is changed. What cannot be decided from the rules (a limit, a\n" +
			"random choice, an unknown source) gives one outcome for each way, with its\n" +
			"condition. The packet comes to the network namespace in which natwarden was\n" +
			"started, or to the first that --netns names; where it goes on into another one\n" +
			"in scope (a container's), it is followed there." +
			exitStatus(map[int]string{
				exitOK:    "answered",
				exitBlind: "all that can be said is that it is not known",
				exitError: "an error",
			}, exitOK, exitError, exitBlind, exitUsage, exitPrivilege),
		Example: "  natwarden explain tcp/443\n  natwarden explain tcp/443 --from 203.0.113.7\n  natwarden explain udp/53 --to 10.77.1.1 --in eth0 -o json",
		Args:    onePort,
		RunE:    func(cmd *cobra.Command, args []string) error { return runExplain(cmd.Context(), a, &o, args[0]) },
	}
	o.AddFlags(cmd.Flags())
	return cmd
}

// onePort is the check of the one word that explain takes.
func onePort(cmd *cobra.Command, args []string) error {
	if len(args) != 1 {
		return usage("natwarden explain tcp/443 --from 203.0.113.7", "explain wants one PROTO/PORT, not %d words", len(args))
	}
	_, _, err := parsePort(args[0])
	return err
}

func parsePort(text string) (host.Proto, uint16, error) {
	name, number, found := strings.Cut(text, "/")
	bad := usage("write tcp/443, udp/53, sctp/36412 or udplite/9", "%q is no PROTO/PORT", text)
	port, err := strconv.ParseUint(number, 10, 16)
	if !found || err != nil || port == 0 {
		return 0, 0, bad
	}
	for _, p := range []host.Proto{host.TCP, host.UDP, host.SCTP, host.UDPLite} {
		if p.String() == name {
			return p, uint16(port), nil
		}
	}
	return 0, 0, bad
}

func runExplain(ctx context.Context, a *app, o *ExplainOptions, port string) error {
	p, err := o.packet(port)
	if err != nil {
		return err
	}
	if err := needRight("explain", unix.CAP_NET_ADMIN); err != nil {
		return err
	}
	s, err := a.openSpaces(ctx, netns.AllSpaces())
	if err != nil {
		return err
	}
	defer s.close()
	entry, err := entrySpace(s, a.Netns)
	if err != nil {
		return err
	}
	l, err := lookAt(ctx, s, entry)
	if err != nil {
		return err
	}
	defer l.close()
	e, err := l.explain(ctx, p)
	if err != nil {
		return err
	}
	if a.json() {
		err = writeExplanationJSON(a.out, e)
	} else {
		a.page().writeExplanation(e)
	}
	if err != nil {
		return err
	}
	return conclude(e.exitCode())
}

// packet reads what was asked.
func (o *ExplainOptions) packet(port string) (p path.Packet, err error) {
	if p.Proto, p.Port, err = parsePort(port); err != nil {
		return p, err
	}
	for _, x := range []struct {
		flag, text string
		into       *netip.Addr
	}{{"--from", o.From, &p.From}, {"--to", o.To, &p.To}} {
		if x.text == "" {
			continue
		}
		if *x.into, err = netip.ParseAddr(x.text); err != nil || x.into.Zone() != "" {
			return p, usage(x.flag+" takes an IPv4 or IPv6 address", "%q is no address", x.text)
		}
		*x.into = x.into.Unmap()
	}
	if p.From.IsValid() && p.To.IsValid() && p.From.Is4() != p.To.Is4() {
		return p, usage("both must be IPv4, or both IPv6", "%s and %s are of different families", p.From, p.To)
	}
	p.SPort, p.In = o.SPort, o.In
	return p, nil
}

// explanation is an answer with what it was about.
type explanation struct {
	packet path.Packet
	answer path.Answer
	blind  []host.Blind
	notes  []string // what was assumed
}

// exitCode is 3 where all that can be said is that it is not known.
func (e *explanation) exitCode() int {
	for _, o := range e.answer.Outcomes {
		if o.Kind != path.Unknown {
			return exitOK
		}
	}
	return exitBlind
}

func (l *looked) complete(p *path.Packet, e *explanation) error {
	if p.In != "" && !slices.ContainsFunc(l.space.Ifaces, func(i host.Iface) bool { return i.Name == p.In }) {
		return usage("ip -br link lists the interfaces", "there is no interface %q in this namespace", p.In)
	}
	if p.In == "lo" || p.From.IsValid() && l.owns(p.From) && p.In == "" {
		p.Own, p.In = true, ""
	}
	if !p.To.IsValid() {
		if err := l.chooseTo(p); err != nil {
			return err
		}
		e.notes = append(e.notes, "to "+p.To.String()+": without --to the first address of the interface is taken")
	}
	if p.In == "" && !p.Own {
		l.chooseIn(p, e)
	}
	if !p.From.IsValid() && !p.Own {
		p.Via = l.neighbourOn(p)
	}
	return nil
}

func (l *looked) owns(a netip.Addr) bool { return slices.Contains(l.space.Addrs, a.String()) }

// chooseTo takes the first address of the interface, else the first of the
// host that is no loopback.
func (l *looked) chooseTo(p *path.Packet) error {
	like := netip.IPv4Unspecified()
	if p.From.IsValid() && !p.From.Is4() {
		like = netip.IPv6Unspecified()
	}
	if p.In == "" && p.From.IsValid() && !p.Own {
		p.In = l.router.Route(host.RouteQuery{Dst: p.From}).Out
	}
	for _, i := range l.space.Ifaces {
		if p.In != "" && i.Name != p.In || p.In == "" && i.Loopback {
			continue
		}
		if p.To = l.router.First(i.Name, like); p.To.IsValid() {
			return nil
		}
	}
	return usage("--to names the destination", "no address of the host fits: say --to")
}

// chooseIn takes the interface by which the sender is reached, else the one
// that holds the destination, else the one of the default route.
func (l *looked) chooseIn(p *path.Packet, e *explanation) {
	far := netip.AddrFrom4([4]byte{192, 0, 2, 1}) // TEST-NET-1, RFC 5737
	if !p.To.Is4() {
		far = netip.MustParseAddr("2001:db8::1") // RFC 3849
	}
	if p.From.IsValid() {
		p.In = l.router.Route(host.RouteQuery{Dst: p.From}).Out
	}
	if p.In = cmp.Or(p.In, l.router.Holder(p.To), l.router.Route(host.RouteQuery{Dst: far}).Out); p.In != "" {
		e.notes = append(e.notes, "in "+p.In+": without --in the interface that leads to the sender, or holds the destination, is taken")
	}
}

// neighbourOn is an address of the interface's network that is not the host's:
// where the sender is not named it stands for one in the routing decision.
func (l *looked) neighbourOn(p *path.Packet) netip.Addr {
	like := netip.IPv4Unspecified()
	if !p.To.Is4() {
		like = netip.IPv6Unspecified()
	}
	own := l.router.First(p.In, like)
	if !own.IsValid() {
		return own
	}
	for a := own.Next(); a.IsValid(); a = a.Next() {
		if !l.owns(a) {
			return a
		}
	}
	return netip.Addr{}
}

// packetWords writes the packet for people.
func packetWords(p *path.Packet) string {
	from := "anybody"
	if p.From.IsValid() {
		from = p.From.String()
	}
	if p.SPort != 0 {
		from += fmt.Sprintf(" port %d", p.SPort)
	}
	way := "in " + cmp.Or(p.In, "an unknown interface")
	if p.Own {
		way = "sent by this host"
	}
	return fmt.Sprintf("%s from %s to %s, %s", p.Proto, from, netip.AddrPortFrom(p.To, p.Port), way)
}
