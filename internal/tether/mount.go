package tether

import (
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// files adds the connections to the servers of every network file system that is
// mounted where natwarden runs: those first that hold a file which must stay readable.
func (f *finder) files() {
	mounts, err := os.ReadFile("/proc/thread-self/mountinfo")
	if err != nil {
		return
	}
	all := parseMounts(string(mounts))
	for _, file := range f.asked.Files {
		if m, ok := mountOf(all, file); ok {
			f.mounted(&m, file)
		}
	}
	for i := range all {
		f.mounted(&all[i], all[i].point)
	}
}

// mounted adds the connections by which a file of a mount is read.
func (f *finder) mounted(m *mount, file string) {
	for _, s := range m.servers() {
		f.server(fmt.Sprintf("the %s connection to %s, by which %s is read,", m.kind, s.at, file), s)
	}
}

// server adds the connections to a server of files or blocks; where none is seen,
// for it is closed while it is idle, or goes by UDP, any to it.
func (f *finder) server(words string, at server) {
	found := false
	for _, s := range f.sockets {
		if s.there == at.at && s.proto == at.proto {
			found = true
			f.add(f.asked.Remote, words, s, true)
		}
	}
	if !found && len(f.seen) < mostServers {
		f.add(f.asked.Remote, words, socket{proto: at.proto, there: at.at}, true)
	}
}

// mostServers bounds the lines of servers without a connection: each has its packets
// followed.
const mostServers = 256

// server is where a network file system or block device is served.
type server struct {
	proto string
	at    netip.AddrPort
}

// mount is a line of mountinfo (proc_pid_mountinfo(5)).
type mount struct{ device, point, kind, source, options string }

// parseMounts reads mountinfo. A line that is torn is none.
func parseMounts(mountinfo string) (out []mount) {
	for line := range strings.Lines(mountinfo) {
		before, after, ok := strings.Cut(strings.TrimSuffix(line, "\n"), " - ")
		fields, rest := strings.Fields(before), strings.Fields(after)
		if ok && len(fields) > 5 && len(rest) > 2 {
			out = append(out, mount{fields[2], unescaped(fields[4]), rest[0], unescaped(rest[1]), rest[2]})
		}
	}
	return out
}

// unescaped undoes the kernel's escapes of space, tab, newline and backslash (three
// octal digits, mangle_path in fs/seq_file.c).
func unescaped(text string) string {
	return strings.NewReplacer(`\040`, " ", `\011`, "\t", `\012`, "\n", `\134`, `\`).Replace(text)
}

// mountOf finds the file system that holds a file, or would hold it, by its
// device number.
func mountOf(all []mount, file string) (mount, bool) {
	var st unix.Stat_t
	path := file
	for unix.Stat(path, &st) != nil {
		up := filepath.Dir(path)
		if up == path {
			return mount{}, false
		}
		path = up
	}
	device := fmt.Sprintf("%d:%d", unix.Major(st.Dev), unix.Minor(st.Dev))
	i := slices.IndexFunc(all, func(m mount) bool { return m.device == device })
	if i < 0 {
		return mount{}, false
	}
	return all[i], true
}

// portOf is the port of the server of each kind of network file system, unless
// the options name another (services(5)).
func portOf(kind string) uint16 {
	return map[string]uint16{"nfs": 2049, "nfs4": 2049, "cifs": 445, "smb3": 445, "smbfs": 445, "9p": 564, "ceph": 6789, "afs": 7000,
		"ncpfs": 524, "fuse.sshfs": 22, "fuse.glusterfs": 24007}[kind]
}

// servers gives the addresses and ports of a network file system's servers, as the
// kernel writes them among the options (addr=, port=, mon_addr=), or else in the source. A
// name that only a name server knows is none; the connection is found by who holds it.
func (m *mount) servers() (out []server) {
	port, proto := portOf(m.kind), "tcp"
	if port == 0 {
		return nil
	}
	hosts := m.hosts()
	for _, o := range strings.Split(m.options, ",") {
		key, value, _ := strings.Cut(o, "=")
		switch key {
		case "addr":
			hosts = []string{value}
		case "mon_addr":
			hosts = strings.Split(value, "/")
		case "port":
			if n, err := strconv.ParseUint(value, 10, 16); err == nil && n != 0 {
				port = uint16(n)
			}
		case "proto", "trans":
			switch value {
			case "udp", "udp6":
				proto = "udp"
			case "tcp", "tcp6":
			default: // rdma, virtio: no packet filter sees it
				return nil
			}
		}
	}
	for _, text := range hosts {
		if at, ok := endOf(text, port); ok {
			out = append(out, server{proto, at})
		}
	}
	return out
}

// hosts are those that the source names: "HOST:/path", "USER@HOST:/path", of ceph
// "HOST:PORT,HOST:PORT:/path".
func (m *mount) hosts() []string {
	text := strings.TrimPrefix(m.source, "//") // of cifs: //HOST/share
	if len(text) < len(m.source) {
		text, _, _ = strings.Cut(text, "/")
	}
	text, _, _ = strings.Cut(text, ":/")
	if _, host, user := strings.Cut(text, "@"); user && m.kind != "ceph" {
		text = host
	}
	return strings.Split(text, ",")
}

// endOf reads an address with or without a port.
func endOf(text string, port uint16) (netip.AddrPort, bool) {
	if at, err := netip.ParseAddrPort(text); err == nil {
		return netip.AddrPortFrom(at.Addr().Unmap(), at.Port()), true
	}
	addr, err := netip.ParseAddr(strings.Trim(text, "[]"))
	return netip.AddrPortFrom(addr.Unmap().WithZone(""), port), err == nil
}
