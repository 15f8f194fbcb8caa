package tether

import (
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// files adds the connections to the servers of the file systems that the files
// lie on.
func (f *finder) files() {
	mounts, err := os.ReadFile("/proc/thread-self/mountinfo")
	if err != nil {
		return
	}
	for _, file := range f.asked.Files {
		if m, ok := mountOf(string(mounts), file); ok {
			if server, ok := m.server(); ok {
				f.server(file, m.kind, server)
			}
		}
	}
}

// server adds the kernel's connections to a file server; where none is seen, as
// with UDP, any to it.
func (f *finder) server(file, kind string, server netip.AddrPort) {
	words := fmt.Sprintf("the %s connection to %s, by which %s is read,", kind, server, file)
	found := false
	for _, s := range f.sockets {
		if s.there == server {
			found = true
			f.add(f.asked.Remote, words, s, true)
		}
	}
	if !found {
		f.add(f.asked.Remote, words, socket{proto: "tcp", here: netip.AddrPort{}, there: server}, true)
	}
}

// mount is a line of mountinfo (proc_pid_mountinfo(5)).
type mount struct{ kind, source, options string }

// mountOf finds the file system that holds a file, or would hold it, by its
// device number.
func mountOf(mountinfo, file string) (mount, bool) {
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
	for line := range strings.Lines(mountinfo) {
		before, after, ok := strings.Cut(strings.TrimSuffix(line, "\n"), " - ")
		fields, rest := strings.Fields(before), strings.Fields(after)
		if ok && len(fields) > 5 && len(rest) > 2 && fields[2] == device {
			return mount{rest[0], rest[1], rest[2]}, true
		}
	}
	return mount{}, false
}

// server gives the address and port of the server of a network file system, as
// the kernel writes them among the options (addr=, port=; of ceph and 9p the source).
func (m mount) server() (netip.AddrPort, bool) {
	ports := map[string]uint16{"nfs": 2049, "nfs4": 2049, "cifs": 445, "smb3": 445, "9p": 564, "ceph": 6789, "afs": 7000, "fuse.sshfs": 22, "fuse.glusterfs": 24007}
	port, network := ports[m.kind]
	if !network {
		return netip.AddrPort{}, false
	}
	_, text, user := strings.Cut(m.source, "@")
	if !user {
		text = m.source
	}
	text = strings.Trim(strings.Split(text, ":")[0], "[]")
	for _, o := range strings.Split(m.options, ",") {
		key, value, _ := strings.Cut(o, "=")
		switch key {
		case "addr":
			text = value
		case "port":
			if n, err := strconv.ParseUint(value, 10, 16); err == nil && n != 0 {
				port = uint16(n)
			}
		}
	}
	if at, err := netip.ParseAddrPort(text); err == nil {
		return at, true
	}
	addr, err := netip.ParseAddr(text)
	return netip.AddrPortFrom(addr.Unmap(), port), err == nil
}
