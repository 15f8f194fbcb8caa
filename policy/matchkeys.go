package policy

import (
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/natwarden/natwarden/internal/host"
)

func redirectMatchObject() object[RedirectMatch] {
	keys := append(kindKeys(), extentKeys()...)
	keys = append(keys, ruleKeys()...)
	return object[RedirectMatch]{what: "the match of a redirect", keys: append(keys, ownerKeys()...),
		check: notEmpty("match"), extra: schema{"minProperties": 1}}
}

type rm = RedirectMatch

// kinds are those of the contract, in the order of their mechanisms.
func kinds() []string {
	return []string{"dnat", "redirect", "netmap", "tproxy", "rewrite", "forward", "dup", "queue", "mac-redirect",
		"local-route", "policy-route", "address", "proxy-arp", "proxy-ndp", "proxy-neigh", "mirred", "tc-bpf",
		"xdp", "tcx", "sk-lookup", "cgroup-connect", "nat-flow", "proxy", "forwarder", "tunnel", "service",
		"ownerless", "transparent", "packet", "snat", "masquerade", "netfilter"}
}

func mechanisms() []string {
	return []string{"rule", "route", "neighbour", "tc", "bpf", "ipvs", "relay", "socket", "flow", "saved"}
}

func kindKeys() []key[rm] {
	return []key[rm]{
		words("mechanism", "where the redirect lives", mechanisms(), func(m *rm) *[]string { return &m.mechanism }),
		words("kind", "what it is", kinds(), func(m *rm) *[]string { return &m.kind }),
		words("direction", "inbound (if any way to it is) or outbound", []string{"inbound", "outbound"}, func(m *rm) *[]string { return &m.direction }),
		netnsKey(func(m *rm) *[]string { return &m.netns }),
		texts("id", "the id of the row: pins one object", func(m *rm) *[]string { return &m.id }),
		texts("tag", "the tag of an eBPF program", func(m *rm) *[]string { return &m.tag }),
		texts("pin", "the path that an eBPF program is pinned to", func(m *rm) *[]string { return &m.pin }),
	}
}

// netnsKey: rows of the namespace in which natwarden was started have the
// empty name, which nobody can write by accident.
func netnsKey[T any](field func(*T) *[]string) key[T] {
	k := texts("netns", "the network namespace as rows name it; current is the one in which natwarden was started", field)
	read := k.read
	k.read = func(r *reader, n *yaml.Node, into *T) {
		read(r, n, into)
		for i, name := range *field(into) {
			if name == "current" {
				(*field(into))[i] = ""
			}
		}
	}
	return k
}

func extentKeys() []key[rm] {
	item, number := schema{"type": "string"}, schema{"type": []string{"string", "integer"}}
	return []key[rm]{
		parsed("family", "family of the packets: ip, ip6 or both", schema{"enum": []string{"ip", "ip6", "both"}}, parseFamily),
		parsed("proto", "protocol: tcp, udp, sctp, …, a number, a list, !LIST or any", number, func(t string, m *rm) error { return m.proto.add(t) }),
		parsed("ports", `original destination ports: 80, "80,443", 9000-9005, "!22" or any`, number, func(t string, m *rm) error { return m.ports.add(t) }),
		parsed("address", "original destination: ADDR, PREFIX/LEN, LO-HI, a list or !LIST", item, func(t string, m *rm) error { return m.address.add(t) }),
		parsed("source", "source: ADDR, PREFIX/LEN, LO-HI, a list or !LIST", item, func(t string, m *rm) error { return m.source.add(t) }),
		parsed("to", "destination: ADDR, PREFIX/LEN or LO-HI with or without :PORT, [V6]:PORT, :PORT, :* (this host, port kept), dev:NAME or unix:PATH", item, addTo),
		texts("in", "interface on which packets arrive; may end in *", func(m *rm) *[]string { return &m.in }),
	}
}

func parseFamily(text string, m *rm) error {
	switch text {
	case "ip":
		m.family |= v4
	case "ip6":
		m.family |= v6
	case "both":
		m.family |= both
	default:
		return familyError(text)
	}
	return nil
}

func addTo(text string, m *rm) error {
	t, err := parseTo(text)
	if err != nil {
		return err
	}
	m.to = append(m.to, t)
	return nil
}

func ruleKeys() []key[rm] {
	hooks := []string{"prerouting", "input", "forward", "output", "postrouting", "ingress", "egress", "brouting"}
	writers := []string{"nft", "iptables-nft", "iptables-legacy", "ebtables-nft"}
	return []key[rm]{
		words("writer", "the tool that wrote the rule", writers, func(m *rm) *[]string { return &m.writer }),
		texts("table", "the table of the rule", func(m *rm) *[]string { return &m.table }),
		texts("chain", "the chain that holds the rule", func(m *rm) *[]string { return &m.chain }),
		words("hook", "the hook of the base chain", hooks, func(m *rm) *[]string { return &m.hook }),
		texts("dev", "interface that the base chain or program is attached to; may end in *", func(m *rm) *[]string { return &m.dev }),
		texts("comment", "the comment of the rule, whole", func(m *rm) *[]string { return &m.comment }),
		texts("file", "the file that brings it back", func(m *rm) *[]string { return &m.file }),
	}
}

func ownerKeys() []key[rm] {
	owner := object[ownerMatch]{what: "owner", check: notEmpty("owner"), extra: schema{"minProperties": 1}, keys: []key[ownerMatch]{
		texts("kind", "docker, firewalld, …", func(o *ownerMatch) *[]string { return &o.kind }),
		texts("name", "its name there", func(o *ownerMatch) *[]string { return &o.name }),
	}}
	process := object[processMatch]{what: "process", check: notEmpty("process"), extra: schema{"minProperties": 1},
		keys: processKeys(func(p *processMatch) *processMatch { return p })}
	return []key[rm]{
		nested("process", "the process that relays", process, func(m *rm) *processMatch { return &m.process }),
		nested("owner", "who manages it, as natwarden found out", owner, func(m *rm) *ownerMatch { return &m.owner }),
	}
}

func processKeys[T any](field func(*T) *processMatch) []key[T] {
	return []key[T]{
		texts("exe", "path of the program; only the host's own file fits", func(t *T) *[]string { return &field(t).exe }),
		texts("user", "name or number of the user", func(t *T) *[]string { return &field(t).user }),
		texts("unit", "system unit, below system.slice", func(t *T) *[]string { return &field(t).unit }),
		texts("container", "container; a name proves nothing by itself", func(t *T) *[]string { return &field(t).container }),
	}
}

type lm = ListenerMatch

func listenerMatchObject() object[lm] {
	item, number := schema{"type": "string"}, schema{"type": []string{"string", "integer"}}
	keys := []key[lm]{
		parsed("proto", strings.Join(listenProtos(), ", ")+"; tcp takes mptcp as well", item, parseListenProto),
		parsed("ports", `ports: 22, "80,443", 9000-9005, "!22" or any`, number, func(t string, m *lm) error { return m.ports.add(t) }),
		parsed("address", "* (both wildcards), 0.0.0.0, ::, ADDR, PREFIX/LEN or LO-HI", item, func(t string, m *lm) error { return m.address.add(t) }),
		netnsKey(func(m *lm) *[]string { return &m.netns }),
		truth("transparent", "true: only transparent sockets; false: only others", nil, func(m *lm) **bool { return &m.transparent }),
	}
	keys = append(keys, processKeys(func(m *lm) *processMatch { return &m.process })...)
	return object[lm]{what: "the match of a listener", keys: keys, check: notEmpty("match"), extra: schema{"minProperties": 1}}
}

// familyError is a word that is no family of packets; tables have more.
type familyError string

// Error says why the word is none, and what to write.
func (e familyError) Error() string {
	if host.Family(e) == host.Inet {
		return `"inet" is a family of tables: packets are ip, ip6 or both`
	}
	return `"` + string(e) + `" is no family of packets`
}

// inWords writes a value of the file in one line.
func inWords(n *yaml.Node) string {
	switch n.Kind {
	case yaml.MappingNode:
		parts := []string{}
		for i := 0; i+1 < len(n.Content); i += 2 {
			parts = append(parts, n.Content[i].Value+": "+inWords(n.Content[i+1]))
		}
		return strings.Join(parts, ", ")
	case yaml.SequenceNode:
		parts := []string{}
		for _, item := range n.Content {
			parts = append(parts, inWords(item))
		}
		return "[" + strings.Join(parts, ", ") + "]"
	}
	return plain(n.Value)
}
