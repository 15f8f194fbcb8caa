package suspect

import (
	"encoding/binary"
	"fmt"
	"path"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/natwarden/natwarden/internal/host"
)

// packets gives a row for each use of packet sockets: programs that see whole
// frames. That is information, unless one may be the answerer of a port on
// which nobody listens and on which a rule keeps the kernel from saying so.
func packets(s *host.Space) []host.Redirect {
	var out []host.Redirect
	quiet := silenced(s)
	for i := range s.Packets {
		p := &s.Packets[i]
		answered := false
		for _, q := range quiet {
			if mayAnswer(p, q) {
				out = append(out, answerRow(p, q))
				answered = true
			}
		}
		if !answered {
			out = append(out, packetRow(p))
		}
	}
	numbered(out)
	return out
}

// quiet is ports on which the kernel keeps silent, by a rule, while nobody
// listens there.
type quiet struct {
	proto host.Proto
	ports host.Ports // nil: any
	rule  string
}

// mostPorts is how many ports a rule may name and still speak of ports that
// it means; one that drops whole ranges is a firewall.
const mostPorts = 1024

// silenced finds the rules that drop what comes to ports without a listener,
// and those that drop the resets by which the kernel refuses connections.
func silenced(s *host.Space) []quiet {
	var out []quiet
	if len(s.Packets) == 0 {
		return nil
	}
	for _, t := range s.Tables {
		if t.Dormant || t.Family == host.ARP {
			continue
		}
		for _, c := range t.Chains {
			for _, r := range c.Rules {
				for b := range r.Branches {
					if q, ok := silences(s, &r.Branches[b]); ok {
						q.rule = fmt.Sprintf("%s %s %s rule %d drops it", t.Family, t.Name, c.Name, r.Index)
						out = append(out, q)
					}
				}
			}
		}
	}
	return out
}

func silences(s *host.Space, b *host.Branch) (quiet, bool) {
	m := &b.Match
	if b.Verdict != host.Drop || m.Dead != "" || m.Impossible() || m.Protos.Any() {
		return quiet{}, false
	}
	for _, proto := range []host.Proto{host.TCP, host.UDP} {
		if !m.Protos.Has(proto) {
			continue
		}
		if proto == host.TCP && dropsResets(m) {
			return quiet{proto: proto, ports: m.SPorts}, true
		}
		if ports := unserved(s, proto, m.Ports); len(ports) > 0 {
			return quiet{proto: proto, ports: ports}, true
		}
	}
	return quiet{}, false
}

func dropsResets(m *host.Match) bool {
	return slices.ContainsFunc(m.Conditions, func(c string) bool {
		c = strings.ToLower(c)
		return strings.Contains(c, "rst") && !strings.Contains(c, "burst")
	})
}

// unserved are the ports of a rule on which nobody listens.
func unserved(s *host.Space, proto host.Proto, ports host.Ports) host.Ports {
	if ports.Any() || count(ports) > mostPorts {
		return nil
	}
	var out []host.Range[host.Port]
	for _, r := range ports {
		for p := r.Lo; ; p++ {
			if !listens(s, proto, uint16(p)) {
				out = append(out, host.Range[host.Port]{Lo: p, Hi: p})
			}
			if p == r.Hi {
				break
			}
		}
	}
	return host.Of(out...)
}

func count(ports host.Ports) int {
	n := 0
	for _, r := range ports {
		n += int(r.Hi) - int(r.Lo) + 1
	}
	return n
}

func listens(s *host.Space, proto host.Proto, port uint16) bool {
	return slices.ContainsFunc(s.Listeners, func(l host.Listener) bool {
		return l.Port == port && protoOf(l.Proto).Has(proto)
	})
}

// mayAnswer says whether a packet to one of the ports comes to the socket, and
// its program is not one that only listens.
func mayAnswer(p *host.PacketSocket, q quiet) bool {
	port := uint16(80)
	if len(q.ports) > 0 {
		port = uint16(q.ports[0].Lo)
	}
	if onlyReads(p.Processes) {
		return false
	}
	for _, ethernet := range []uint16{unix.ETH_P_IP, unix.ETH_P_IPV6} {
		if p.Proto != unix.ETH_P_ALL && p.Proto != ethernet {
			continue
		}
		frame, link := knock(ethernet, q.proto, port), 14
		if p.Cooked {
			frame, link = frame[14:], 0
		}
		if passes(p.Filter, frame, link, ethernet) {
			return true
		}
	}
	return false
}

// knock is a frame that opens a connection to the port: Ethernet, IPv4 or IPv6
// without options, TCP with SYN or UDP.
func knock(ethernet uint16, proto host.Proto, port uint16) []byte {
	frame := binary.BigEndian.AppendUint16(make([]byte, 12), ethernet)
	ip := make([]byte, 20)
	ip[0], ip[8], ip[9] = 0x45, 64, byte(proto)
	ip[3] = 40
	if ethernet == unix.ETH_P_IPV6 {
		ip = make([]byte, 40)
		ip[0], ip[5], ip[6], ip[7] = 0x60, 20, byte(proto), 64
	}
	segment := make([]byte, 20)
	binary.BigEndian.PutUint16(segment, 40000)
	binary.BigEndian.PutUint16(segment[2:], port)
	if segment[4] = 0; proto == host.TCP {
		segment[12], segment[13] = 0x50, 0x02
	}
	return append(append(frame, ip...), segment...)
}

// onlyReads tells programs that are known to look and not to answer, by the
// host's own file.
func onlyReads(list []host.Process) bool {
	return len(list) > 0 && !slices.ContainsFunc(list, func(p host.Process) bool {
		return !p.HostExe || p.Deleted || !inSystem(p.Exe) || !slices.Contains(readers(), path.Base(p.Exe))
	})
}

func readers() []string {
	return []string{"tcpdump", "dumpcap", "tshark", "dhclient", "dhcpcd", "lldpd", "ladvd", "systemd-networkd", "NetworkManager",
		"wpa_supplicant", "hostapd", "suricata", "snort", "ntopng", "softflowd", "pmacctd", "p0f", "arpwatch", "wicked", "connmand", "avahi-autoipd",
		"zeek", "packetbeat", "netsniff-ng", "iftop", "argus", "kea-dhcp4", "dhcpd", "dnsmasq", "keepalived"}
}

// inSystem says whether only root can have put the file there.
func inSystem(exe string) bool {
	return slices.ContainsFunc([]string{"/usr/", "/bin/", "/sbin/", "/lib/"}, func(dir string) bool { return strings.HasPrefix(exe, dir) })
}

// packetRow is a socket that only looks, for all that is known.
func packetRow(p *host.PacketSocket) host.Redirect {
	r := row(p)
	r.Info, r.Proto, r.Ports, r.Family = true, "any", "any", host.Both
	r.Match = &host.Match{}
	r.Why = []string{"it sees frames beside the protocols of the kernel"}
	return r
}

// answerRow is a socket that may answer in the place of the kernel.
func answerRow(p *host.PacketSocket, q quiet) host.Redirect {
	r := row(p)
	r.Match = &host.Match{Protos: host.ProtosOf(q.proto), Ports: q.ports}
	r.Proto, r.Ports, r.Family = host.ProtosString(r.Match.Protos), host.PortsString(q.ports), host.Both
	r.Why = []string{"nobody listens on the port, a rule keeps the kernel from refusing it, and the socket sees what comes"}
	r.Evidence = append(r.Evidence, q.rule)
	if r.Process == nil {
		r.Advice = "no process could be found that holds the socket"
		return r
	}
	r.Ref = processRef(r.Process)
	r.Advice = fmt.Sprintf("end process %d (%s), and what starts it; then the rule may go", r.Process.PID, first(r.Process.Exe, r.Process.Name))
	return r
}

// row is what both have.
func row(p *host.PacketSocket) host.Redirect {
	r := host.Redirect{Mechanism: "socket", Kind: "packet", State: host.Active, Direction: "inbound",
		Conditions: []string{}, To: []string{":*"}, Targets: []host.Target{{}}, Evidence: []string{evidence(p)}}
	if p.Device != "" {
		r.Conditions = []string{"in " + p.Device}
	}
	if len(p.Processes) > 0 {
		holder := p.Processes[0]
		r.Process = &holder
		r.Content = holder.Exe + "\x00" + holder.Unit + "\x00" + holder.Container
	}
	r.Content += fmt.Sprint("\x00", p.Proto)
	return r
}

func evidence(p *host.PacketSocket) string {
	text := fmt.Sprintf("a packet socket for protocol 0x%04x on %s", p.Proto, first(p.Device, "all interfaces"))
	if p.Filter != nil {
		text += fmt.Sprintf(", with a filter of %d instructions", len(p.Filter)/8)
	}
	for i := range p.Processes {
		text += fmt.Sprintf("; held by %s (pid %d)", p.Processes[i].Name, p.Processes[i].PID)
	}
	return text
}
