package tether

import (
	"fmt"
	"net/netip"
	"os"
	"slices"
	"strings"
	"testing"
)

func TestTheServerOfAFileSystem(t *testing.T) {
	for _, c := range []struct{ kind, source, options, want string }{
		{"nfs4", "files:/export", "rw,vers=4.2,proto=tcp,addr=192.0.2.5", "tcp 192.0.2.5:2049"},
		{"nfs", "192.0.2.6:/export", "rw,port=2050", "tcp 192.0.2.6:2050"},
		{"nfs", "192.0.2.6:/export", "rw,port=0", "tcp 192.0.2.6:2049"},
		{"nfs", "192.0.2.6:/export", "rw,vers=3,proto=udp,addr=192.0.2.6", "udp 192.0.2.6:2049"},
		{"nfs4", "192.0.2.6:/export", "rw,proto=rdma,addr=192.0.2.6", ""},
		{"nfs4", "[2001:db8::5]:/export", "rw,proto=tcp6,addr=2001:db8::5", "tcp [2001:db8::5]:2049"},
		{"nfs4", "[2001:db8::5]:/export", "rw", "tcp [2001:db8::5]:2049"},
		{"nfs4", "[fe80::5%eth0]:/export", "rw,addr=fe80::5%eth0", "tcp [fe80::5]:2049"},
		{"cifs", "//files/share", "rw,username=x,addr=192.0.2.7", "tcp 192.0.2.7:445"},
		{"cifs", "//192.0.2.7/share", "rw", "tcp 192.0.2.7:445"},
		{"ceph", "192.0.2.1:6790,192.0.2.2:/", "rw,name=admin", "tcp 192.0.2.1:6790 tcp 192.0.2.2:6789"},
		{"ceph", "admin@07fe3187-00d9-42a3-814b-72a4d5e7d5be.fs=/", "rw,mon_addr=192.0.2.1:3300/192.0.2.2:3300", "tcp 192.0.2.1:3300 tcp 192.0.2.2:3300"},
		{"9p", "192.0.2.9", "rw,trans=tcp,port=565", "tcp 192.0.2.9:565"},
		{"9p", "hostshare", "rw,trans=virtio", ""},
		{"fuse.sshfs", "user@192.0.2.8:/x", "rw", "tcp 192.0.2.8:22"},
		{"fuse.glusterfs", "192.0.2.8:/vol", "rw", "tcp 192.0.2.8:24007"},
		{"nfs4", "files:/export", "rw", ""},
		{"nfs4", "", "addr=", ""},
		{"ext4", "/dev/sda1", "rw,addr=192.0.2.5", ""},
	} {
		var got []string
		m := mount{kind: c.kind, source: c.source, options: c.options}
		for _, s := range m.servers() {
			got = append(got, s.proto+" "+s.at.String())
		}
		if strings.Join(got, " ") != c.want {
			t.Errorf("%+v: %q", c, got)
		}
	}
}

// A host whose root file system lies on a server, as the kernel lists it.
const diskless = `22 1 0:20 / / rw,relatime shared:1 - nfs 192.0.2.5:/srv/root\040one rw,vers=3,nolock,proto=tcp,port=2049,timeo=7,retrans=3,sec=sys,addr=192.0.2.5
30 22 0:26 / /proc rw - proc proc rw
31 22 0:40 / /var/lib/my\040data rw,relatime - nfs4 192.0.2.6:/data rw,vers=4.2,proto=tcp,clientaddr=192.0.2.1,addr=192.0.2.6
torn line
32 22 0:41 / /home rw - cifs //files/home rw,vers=3.1.1,addr=192.0.2.7
33 22 0:42 / /home/other rw - cifs //files/other rw,vers=3.1.1,addr=192.0.2.7
`

// Every server counts, and one of which no connection stands: NFS closes it while it
// is idle. (That a kernel mounts NFS is nothing that a namespace can show.)
func TestEveryServerOfAHostWithoutDisks(t *testing.T) {
	f := &finder{asked: Asked{Remote: "remote"}, seen: map[string]bool{}, spaces: map[string]bool{}, labels: map[string]string{"own": "lab"}}
	f.sockets = []socket{
		{proto: "tcp", here: ap("192.0.2.1:700"), there: ap("192.0.2.5:2049"), inode: 1, space: "own"},
		{proto: "tcp", here: ap("192.0.2.1:701"), there: ap("192.0.2.5:2049"), inode: 2, space: "own"},
		{proto: "tcp", here: ap("192.0.2.1:702"), there: ap("192.0.2.99:2049"), inode: 3, space: "own"},
	}
	for _, m := range parseMounts(diskless) {
		f.mounted(&m, m.point)
	}
	want := []string{
		"the nfs connection to 192.0.2.5:2049, by which / is read, 192.0.2.1:700 lab",
		"the nfs connection to 192.0.2.5:2049, by which / is read, 192.0.2.1:701 lab",
		"the nfs4 connection to 192.0.2.6:2049, by which /var/lib/my data is read, invalid AddrPort ",
		"the cifs connection to 192.0.2.7:445, by which /home is read, invalid AddrPort ",
	}
	var got []string
	for _, l := range f.lines {
		got = append(got, fmt.Sprintf("%s %s %s", l.Words, l.Here, l.Netns))
		if l.Guard != "remote" || !l.Dialed || l.Proto != "tcp" || !l.There.IsValid() {
			t.Errorf("%+v", l)
		}
	}
	if !slices.Equal(got, want) {
		t.Errorf("%q", got)
	}
}

func ap(text string) netip.AddrPort { return netip.MustParseAddrPort(text) }

// A file that is not there yet lies where its folder does.
func TestAFileIsFoundOnItsMount(t *testing.T) {
	mounts, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		t.Skip(err)
	}
	m, ok := mountOf(parseMounts(string(mounts)), "/proc/sys/net/not/there/yet")
	if !ok || m.kind != "proc" {
		t.Errorf("%+v %v", m, ok)
	}
	if _, ok := mountOf(parseMounts("torn line\n"+strings.Repeat(" - ", 9)), "/"); ok {
		t.Error("a torn list names no file system")
	}
}

func FuzzMounts(f *testing.F) {
	f.Add(diskless)
	f.Fuzz(func(t *testing.T, text string) {
		for _, m := range parseMounts(text) {
			for _, s := range m.servers() {
				if !s.at.Addr().IsValid() || s.proto != "tcp" && s.proto != "udp" {
					t.Errorf("%+v: %+v", m, s)
				}
			}
		}
	})
}
