package suspect

import (
	"testing"

	"golang.org/x/sys/unix"

	"github.com/natwarden/natwarden/internal/host"
)

func tcpPort(lo, hi uint16) host.Match {
	return host.Match{Protos: host.ProtosOf(host.TCP), Ports: host.PortsOf(lo, hi)}
}

func TestPacketSocketsThatMayAnswer(t *testing.T) {
	python := host.Process{PID: 7, Name: "python3", Exe: "/usr/bin/python3", HostExe: true}
	dump := host.Process{PID: 8, Name: "tcpdump", Exe: "/usr/bin/tcpdump", HostExe: true}
	forged := host.Process{PID: 9, Name: "tcpdump", Exe: "/usr/bin/tcpdump"}
	own := host.Process{PID: 10, Name: "tcpdump", Exe: "/home/u/tcpdump", HostExe: true}
	on := func(p host.Process) host.PacketSocket {
		return host.PacketSocket{Inode: 1, Proto: unix.ETH_P_IP, Device: "h0", Processes: []host.Process{p}}
	}
	with := func(change func(*host.PacketSocket)) host.PacketSocket {
		p := on(python)
		change(&p)
		return p
	}
	resets := host.Match{Protos: host.ProtosOf(host.TCP), Conditions: []string{"tcp flags rst"}}
	burst := host.Match{Protos: host.ProtosOf(host.TCP), Conditions: []string{"limit rate 5/second burst 5 packets"}}
	for name, c := range map[string]struct {
		match   host.Match
		verdict host.Verdict
		socket  host.PacketSocket
		want    string // the ports of the violation, "" for information
	}{
		"a dropped port":                  {tcpPort(80, 80), host.Drop, on(python), "80"},
		"on all interfaces":               {tcpPort(80, 80), host.Drop, with(func(p *host.PacketSocket) { p.Device = "" }), "80"},
		"for all protocols":               {tcpPort(80, 80), host.Drop, with(func(p *host.PacketSocket) { p.Proto = unix.ETH_P_ALL }), "80"},
		"for ARP":                         {tcpPort(80, 80), host.Drop, with(func(p *host.PacketSocket) { p.Proto = unix.ETH_P_ARP }), ""},
		"that receives nothing":           {tcpPort(80, 80), host.Drop, with(func(p *host.PacketSocket) { p.Proto = 0 }), ""},
		"with a filter for DHCP":          {tcpPort(80, 80), host.Drop, with(func(p *host.PacketSocket) { p.Filter = assemble(dhcp()) }), ""},
		"cooked":                          {tcpPort(80, 80), host.Drop, with(func(p *host.PacketSocket) { p.Cooked = true }), "80"},
		"of nobody":                       {tcpPort(80, 80), host.Drop, with(func(p *host.PacketSocket) { p.Processes = nil }), "80"},
		"of tcpdump":                      {tcpPort(80, 80), host.Drop, on(dump), ""},
		"of a container's tcpdump":        {tcpPort(80, 80), host.Drop, on(forged), "80"},
		"of what is called tcpdump":       {tcpPort(80, 80), host.Drop, on(own), "80"},
		"shared by tcpdump and another":   {tcpPort(80, 80), host.Drop, with(func(p *host.PacketSocket) { p.Processes = append(p.Processes, dump) }), "80"},
		"a port that is served":           {tcpPort(22, 22), host.Drop, on(python), ""},
		"ports of which one is served":    {tcpPort(21, 23), host.Drop, on(python), "21,23"},
		"an accepted port":                {tcpPort(80, 80), host.Accept, on(python), ""},
		"a firewall that drops the rest":  {tcpPort(1024, 65535), host.Drop, on(python), ""},
		"resets that do not go out":       {resets, host.Drop, on(python), "any"},
		"a limit is no reset":             {burst, host.Drop, on(python), ""},
		"a rule that can never be true":   {host.Match{Protos: host.ProtosOf(host.TCP), Ports: host.PortsOf(80, 80), Dead: "x"}, host.Drop, on(python), ""},
		"a rule for packets of all kinds": {host.Match{}, host.Drop, on(python), ""},
	} {
		s := &host.Space{Packets: []host.PacketSocket{c.socket},
			Listeners: []host.Listener{{Proto: "tcp", Address: "0.0.0.0", Port: 22}},
			Tables: []*host.Table{{Family: host.Inet, Name: "fw", Chains: []*host.Chain{{Name: "input",
				Rules: []*host.Rule{{Index: 1, Branches: []host.Branch{{Match: c.match, Verdict: c.verdict}}}}}}}}}
		rows := packets(s)
		if len(rows) != 1 || rows[0].Info != (c.want == "") || !rows[0].Info && rows[0].Ports != c.want {
			t.Errorf("%s: %+v, want ports %q", name, rows, c.want)
		}
	}
}

// Two sockets of one program are two rows with ids of their own.
func TestEqualPacketSocketsHaveTheirOwnIDs(t *testing.T) {
	s := &host.Space{Packets: []host.PacketSocket{{Inode: 1, Proto: 3}, {Inode: 2, Proto: 3}}}
	s.AddRedirects(packets(s)...)
	if len(s.Redirects) != 2 || s.Redirects[0].ID == s.Redirects[1].ID {
		t.Errorf("%+v", s.Redirects)
	}
}
