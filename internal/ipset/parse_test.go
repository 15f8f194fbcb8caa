package ipset

import (
	"context"
	"os"
	"path/filepath"
	"testing"

	"github.com/natwarden/natwarden/internal/lab/labtest"

	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"
)

// listing gives the messages of a real listing, as seeds.
func listing(f *testing.F) (messages [][]byte) {
	if os.Geteuid() != 0 {
		return nil
	}
	s := labtest.New(f, "ipset")
	s.MustRun(f, "create a hash:net timeout 9\nadd a 10.0.0.0/8\ncreate b hash:ip,port family inet6\nadd b fd00::1,80\ncreate c list:set\nadd c a\n", "ipset", "restore")
	s.MustDo(f, func(context.Context) error {
		c, err := netlink.Dial(unix.NETLINK_NETFILTER, nil)
		if err != nil {
			return err
		}
		defer c.Close()
		answers, err := c.Execute(message(cmdList, netlink.Request|netlink.Dump, protocolMax, ""))
		for _, a := range answers {
			messages = append(messages, a.Data)
		}
		return err
	})
	return messages
}

// A message of the kernel, however torn, is read or refused; what is read can
// be used.
func FuzzParse(f *testing.F) {
	for _, m := range listing(f) {
		f.Add(m)
	}
	f.Add([]byte{2, 0, 0, 0, 5, 0, 1, 0, 7, 0, 0, 0})
	f.Fuzz(func(t *testing.T, b []byte) {
		var l list
		_ = l.add(b)
		_, _, _ = parseProtocol(b)
		for i := range l.sets {
			s := &l.sets[i]
			s.ready()
			_ = s.Ports()
			dims := s.Dims()
			for _, e := range s.Elements {
				if (dims[0] == "ip" || dims[0] == "net") && (!e.Lo.IsValid() || !e.Hi.IsValid() || e.Hi.Less(e.Lo)) {
					t.Fatalf("element %+v of %q has no range", e, s.Type)
				}
			}
		}
	})
}

func TestAsksOnlyWhatIsLoaded(t *testing.T) {
	root := t.TempDir()
	if !loaded(root) {
		t.Error("a kernel without modules must be asked")
	}
	write := func(path, text string) {
		path = filepath.Join(root, path)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	write("proc/modules", "ip_set_hash_ip 45056 0 - Live 0x0\nip_tables 1 0 - Live 0x0\n")
	if loaded(root) {
		t.Error("ip_set is not loaded and would be")
	}
	write("proc/modules", "ip_tables 1 0 - Live 0x0\nip_set 45056 0 - Live 0x0\n")
	if !loaded(root) {
		t.Error("ip_set is loaded")
	}
	write("proc/modules", "ip_tables 1 0 - Live 0x0\n")
	write("sys/module/ip_set/parameters/max_sets", "256")
	if !loaded(root) {
		t.Error("ip_set is built in")
	}
}

func TestNewProtocolIsRefused(t *testing.T) {
	newest, oldest, err := parseProtocol([]byte{2, 0, 0, 0, 5, 0, 1, 0, 9, 0, 0, 0, 5, 0, 10, 0, 8, 0, 0, 0})
	if newest != 9 || oldest != 8 || err != nil {
		t.Errorf("protocols %d to %d, %v", oldest, newest, err)
	}
}
