package tether

import (
	"os"
	"strings"
	"testing"
)

func TestTheServerOfAFileSystem(t *testing.T) {
	for _, c := range []struct{ kind, source, options, want string }{
		{"nfs4", "files:/export", "rw,vers=4.2,proto=tcp,addr=192.0.2.5", "192.0.2.5:2049"},
		{"nfs", "192.0.2.6:/export", "rw,port=2050", "192.0.2.6:2050"},
		{"nfs", "192.0.2.6:/export", "rw,port=0", "192.0.2.6:2049"},
		{"nfs4", "[2001:db8::5]:/export", "rw,addr=2001:db8::5", "[2001:db8::5]:2049"},
		{"cifs", "//files/share", "rw,username=x,addr=192.0.2.7", "192.0.2.7:445"},
		{"fuse.sshfs", "user@192.0.2.8:/x", "rw", "192.0.2.8:22"},
		{"nfs4", "files:/export", "rw", ""},
		{"ext4", "/dev/sda1", "rw,addr=192.0.2.5", ""},
	} {
		got := ""
		if at, ok := (mount{c.kind, c.source, c.options}).server(); ok {
			got = at.String()
		}
		if got != c.want {
			t.Errorf("%+v: %q", c, got)
		}
	}
}

// A file that is not there yet lies where its folder does.
func TestAFileIsFoundOnItsMount(t *testing.T) {
	mounts, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		t.Skip(err)
	}
	m, ok := mountOf(string(mounts), "/proc/sys/net/not/there/yet")
	if !ok || m.kind != "proc" {
		t.Errorf("%+v %v", m, ok)
	}
	if _, ok := mountOf("torn line\n"+strings.Repeat(" - ", 9), "/"); ok {
		t.Error("a torn list names no file system")
	}
}
