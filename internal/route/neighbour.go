package route

import (
	"fmt"
	"maps"
	"slices"

	"golang.org/x/sys/unix"

	"github.com/natwarden/natwarden/internal/host"
)

// proxyNeighbours finds entries that make the host answer ARP or neighbour
// solicitations for another address (`ip neigh add proxy`).
func (v *view) proxyNeighbours() []host.Redirect {
	var out []host.Redirect
	for _, n := range v.neighbours {
		x := row("neighbour", "proxy-neigh", familyOf(n.family))
		text := fmt.Sprintf("proxy %s dev %s", n.addr, v.ifname(n.ifindex))
		x.Match.Address = single(n.addr)
		x.Targets = []host.Target{host.AddrTarget(n.addr, 0)}
		x.Evidence = append(x.Evidence, "ip neigh: "+text)
		x.Conditions = append(x.Conditions, "in "+v.ifname(n.ifindex))
		x.State, x.Why = v.neighbourState(n)
		x.Ref = v.ref(refNeighbour, text, n.raw)
		typed := fmt.Sprintf("proxy %s dev %s", n.addr, host.ShellWord(v.ifname(n.ifindex)))
		x.Advice = "ip neigh del " + typed
		if n.family == unix.AF_INET6 {
			x.Advice = "ip -6 neigh del " + typed
		}
		out = append(out, finish(x, text))
	}
	return out
}

// neighbourState says whether the kernel answers: arp_process needs
// forwarding on the interface (net/ipv4/arp.c), ndisc_recv_ns needs forwarding
// and proxy_ndp (net/ipv6/ndisc.c).
func (v *view) neighbourState(n neighbour) (string, []string) {
	name := v.ifname(n.ifindex)
	if n.family == unix.AF_INET {
		if !v.sysctl.forwarding4[name] {
			return host.Inactive, []string{"net.ipv4.conf." + name + ".forwarding is 0"}
		}
		return host.Active, []string{"net.ipv4.conf." + name + ".forwarding is 1"}
	}
	switch {
	case !v.sysctl.forwarding6[name]:
		return host.Inactive, []string{"net.ipv6.conf." + name + ".forwarding is 0"}
	case !v.sysctl.proxyNDP[name] && !v.sysctl.proxyNDP["all"]:
		return host.Inactive, []string{"net.ipv6.conf." + name + ".proxy_ndp is 0"}
	}
	return host.Active, []string{"net.ipv6.conf." + name + ".proxy_ndp is 1"}
}

// proxyARP finds interfaces that answer ARP for every address that is routed
// elsewhere (sysctl proxy_arp).
func (v *view) proxyARP() []host.Redirect {
	var out []host.Redirect
	for _, name := range slices.Sorted(maps.Values(v.links)) {
		if !v.sysctl.proxyARP[name] && !v.sysctl.proxyARP["all"] || name == "lo" {
			continue
		}
		x := row("neighbour", "proxy-arp", host.IP)
		key := "ipv4/conf/" + name + "/proxy_arp"
		if v.sysctl.proxyARP["all"] {
			key = "ipv4/conf/all/proxy_arp"
		}
		x.Conditions = append(x.Conditions, "in "+name, "address is routed out of another interface")
		x.Evidence = append(x.Evidence, "sysctl net."+dotted(key)+" is 1")
		x.State, x.Why = host.Active, []string{"net.ipv4.conf." + name + ".forwarding is 1"}
		if !v.sysctl.forwarding4[name] {
			x.State, x.Why = host.Inactive, []string{"net.ipv4.conf." + name + ".forwarding is 0"}
		}
		x.Ref = &host.Ref{Backend: Backend, Table: refSysctl, Text: key, Fingerprint: key}
		x.Advice = "sysctl -w " + host.ShellWord("net."+dotted(key)+"=0") + ", and take it out of /etc/sysctl.d"
		out = append(out, finish(x, key+" "+name))
	}
	return out
}

func dotted(key string) string {
	b := []byte(key)
	for i := range b {
		if b[i] == '/' {
			b[i] = '.'
		}
	}
	return string(b)
}
