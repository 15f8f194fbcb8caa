package suspect

import (
	"testing"

	"github.com/natwarden/natwarden/internal/host"
)

func TestWhatTheKernelServes(t *testing.T) {
	k := &kernel{tunnels: map[uint16]string{4789: "vxlan0"}, exact: map[string]string{"tcp 2049": "nfsd"}, threads: map[string]bool{"ksmbd-io": true}}
	told := &kernel{tunnels: map[uint16]string{}, exact: map[string]string{}, unsaid: []string{"wireguard"}}
	for _, c := range []struct {
		k      *kernel
		proto  string
		port   uint16
		uid    uint32
		inode  uint64
		own    bool
		perhap bool
	}{
		{k, "udp", 4789, 0, 1, true, false},
		{k, "tcp", 4789, 0, 1, false, false},
		{k, "udp", 4789, 1000, 1, false, false}, // the kernel's sockets are root's
		{k, "tcp", 2049, 0, 1, true, false},
		{k, "tcp", 2050, 0, 1, false, false},
		{k, "tcp", 445, 0, 1, true, false},
		{k, "tcp", 80, 0, 0, true, false},
		{told, "udp", 51820, 0, 1, false, true},
		{told, "tcp", 51820, 0, 1, false, false},
		{told, "udp", 51820, 1000, 1, false, false},
	} {
		l := &host.Listener{Proto: c.proto, Port: c.port, UID: c.uid, Inode: c.inode}
		if own, maybe := c.k.owns(l); (own != "") != c.own || (maybe != "") != c.perhap {
			t.Errorf("%s %d of %d: %q, %q", c.proto, c.port, c.uid, own, maybe)
		}
	}
}

func TestKernelThreadsAreToldByTheirFlag(t *testing.T) {
	for text, want := range map[string]bool{
		"7 (nfsd) S 2 0 0 0 -1 2129984 0": true,
		"7 (nfsd) S 2 0 0 0 -1 4194560 0": false,
		"7 (a) b) S 2 0 0 0 -1 2129984 0": true,
		"7 (nfsd) S 2":                    false,
		"":                                false, ")(": false,
	} {
		name, flags, ok := parseStat(text)
		if (ok && flags&kernelThread != 0) != want {
			t.Errorf("%q: %q, %x, %v", text, name, flags, ok)
		}
	}
	if threads := kernelThreads(); threads["suspect.test"] {
		t.Error("this test is no thread of the kernel")
	}
}

func TestInFlight(t *testing.T) {
	for text, want := range map[string]bool{"pos:\t0\nscm_fds: 1\n": true, "scm_fds: 0\n": false, "scm_fds:\n": true, "pos: 1\n": false} {
		if inFlight(text) != want {
			t.Errorf("%q", text)
		}
	}
}
