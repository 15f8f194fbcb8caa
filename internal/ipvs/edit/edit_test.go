package edit

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/natwarden/natwarden/internal/change"
	"github.com/natwarden/natwarden/internal/genl"
	"github.com/natwarden/natwarden/internal/host"
	"github.com/natwarden/natwarden/internal/ipvs"
	"github.com/natwarden/natwarden/internal/lab/labtest"
)

// balancer is a namespace in which the kernel has IPVS. Where it has not, as
// below a small kernel, the test is skipped; internal/lab/qemu runs it on Debian's.
func balancer(t *testing.T, commands ...string) labtest.Space {
	t.Helper()
	s := labtest.New(t)
	var lacks error
	s.MustDo(t, func(ctx context.Context) error {
		var c *ipvs.Conn
		if c, lacks = ipvs.Dial(ctx, true); lacks == nil {
			return c.Close()
		}
		return nil
	})
	if lacks != nil {
		labtest.Lacking(t, lacks.Error())
	}
	s.MustDo(t, s.Loopback) // without any address no destination is unicast
	for _, line := range commands {
		s.MustRun(t, "", append([]string{"ipvsadm"}, strings.Fields(line)...)...)
	}
	return s
}

// listing is all that ipvsadm shows, without counts.
func listing(t *testing.T, s labtest.Space) string {
	return s.MustRun(t, "", "ipvsadm", "-Sn") + s.MustRun(t, "", "ipvsadm", "-Ln", "--thresholds") + s.MustRun(t, "", "ipvsadm", "-Ln", "--tun-info", "--sort")
}

// found lists the redirects that can be ended.
func found(ctx context.Context, t *testing.T) (refs []host.Ref, ids []string) {
	var space host.Space
	reading, err := (ipvs.Source{}).Read(ctx, &space)
	if err != nil || len(reading.Blind) > 0 {
		t.Errorf("%v, blind %v", err, reading.Blind)
	}
	for _, r := range space.Redirects {
		if r.Ref == nil {
			t.Errorf("%s has no Ref", r.Content)
			continue
		}
		refs, ids = append(refs, *r.Ref), append(ids, r.Content)
	}
	return refs, ids
}

// journaled gives the steps as another process reads them.
func journaled(t *testing.T, steps []change.Step) []change.Step {
	t.Helper()
	text, err := json.Marshal(steps)
	var out []change.Step
	if err := errors.Join(err, json.Unmarshal(text, &out)); err != nil {
		t.Fatal(err)
	}
	return out
}

// services is the commands that make each, and its text in a plan.
var services = map[string]struct {
	commands []string
	text     string
}{
	"masquerading": {[]string{"-A -t 192.0.2.1:80 -s rr", "-a -t 192.0.2.1:80 -r 10.77.2.2:8080 -m -w 3", "-a -t 192.0.2.1:80 -r 10.77.2.3:8080 -m", "-a -t 192.0.2.1:80 -r 10.77.2.1:80 -m -w 0"},
		"-t 192.0.2.1:80 -s rr, -r 10.77.2.1:80 -m -w 0, -r 10.77.2.3:8080 -m -w 1, -r 10.77.2.2:8080 -m -w 3"},
	"by hash, one packet": {[]string{"-A -u 192.0.2.1:53 -s sh -b sh-port,sh-fallback -o", "-a -u 192.0.2.1:53 -r 10.77.2.2:53 -g"},
		"-u 192.0.2.1:53 -s sh -o -b flag-1 -b flag-2, -r 10.77.2.2:53 -g -w 1"},
	"persistent": {[]string{"-A -t 192.0.2.1:443 -s wlc -p 120 -M 255.255.255.0", "-a -t 192.0.2.1:443 -r 10.77.2.2:443 -m -x 100 -y 50"},
		"-t 192.0.2.1:443 -s wlc -p 120 -M 255.255.255.0, -r 10.77.2.2:443 -m -w 1 -x 100 -y 50"},
	"every port":          {[]string{"-A -t 192.0.2.2:0 -s wrr -p 300", "-a -t 192.0.2.2:0 -r 10.77.2.2:0 -g"}, "-t 192.0.2.2:0 -s wrr -p 300, -r 10.77.2.2:0 -g -w 1"},
	"SIP":                 {[]string{"-A -u 192.0.2.1:5060 -s rr -p 60 --pe sip", "-a -u 192.0.2.1:5060 -r 10.77.2.2:5060 -m"}, "-u 192.0.2.1:5060 -s rr -p 60 --pe sip, -r 10.77.2.2:5060 -m -w 1"},
	"SCTP":                {[]string{"-A --sctp-service 192.0.2.1:3868 -s lc", "-a --sctp-service 192.0.2.1:3868 -r 10.77.2.2:3868 -m"}, "--sctp-service 192.0.2.1:3868 -s lc, -r 10.77.2.2:3868 -m -w 1"},
	"a mark":              {[]string{"-A -f 32 -s rr", "-a -f 32 -r 10.77.2.2:0 -g"}, "-f 32 -s rr, -r 10.77.2.2:0 -g -w 1"},
	"a mark of IPv6":      {[]string{"-A -f 32 -6 -s rr", "-a -f 32 -6 -r [fd77::2]:0 -g"}, "-f 32 -6 -s rr, -r [fd77::2]:0 -g -w 1"},
	"IPv6":                {[]string{"-A -t [2001:db8::1]:80 -s mh -p 100 -M 64", "-a -t [2001:db8::1]:80 -r [fd77::2]:8080 -m -w 7"}, "-t [2001:db8::1]:80 -s mh -p 100 -M 64, -r [fd77::2]:8080 -m -w 7"},
	"nobody":              {[]string{"-A -t 192.0.2.3:80 -s rr"}, "-t 192.0.2.3:80 -s rr"},
	"tunnels":             {[]string{"-A -t 192.0.2.4:80 -s rr", "-a -t 192.0.2.4:80 -r 10.77.2.2 -i", "-a -t 192.0.2.4:80 -r 10.77.2.3 -i --tun-type gue --tun-port 6080 --tun-remcsum", "-a -t 192.0.2.4:80 -r 10.77.2.4 -i --tun-type gre --tun-csum"}, "-t 192.0.2.4:80 -s rr, -r 10.77.2.4:80 -i --tun-type gre -w 1, -r 10.77.2.3:80 -i --tun-type gue --tun-port 6080 -w 1, -r 10.77.2.2:80 -i -w 1"},
	"of the other family": {[]string{"-A -t 192.0.2.5:80 -s rr", "-a -t 192.0.2.5:80 -r [fd77::2]:80 -i"}, "-t 192.0.2.5:80 -s rr, -r [fd77::2]:80 -i -w 1"},
}

// Each service goes alone while all the others stand, and comes back as it was.
func TestServicesGoAndComeBack(t *testing.T) {
	var all []string
	for _, c := range services {
		all = append(all, c.commands...)
	}
	s := balancer(t, all...)
	for name, c := range services {
		t.Run(name, func(t *testing.T) { goAndComeBack(t, s, c.text) })
	}
}

func goAndComeBack(t *testing.T, s labtest.Space, text string) {
	before := listing(t, s)
	var steps []change.Step
	var world *change.World
	s.MustDo(t, func(ctx context.Context) error {
		refs, ids := found(ctx, t)
		i := slices.IndexFunc(refs, func(r host.Ref) bool { return r.Text == text })
		if i < 0 {
			return fmt.Errorf("no service reads %q: %v", text, refs)
		}
		var err error
		if world, err = New().World(ctx); err != nil {
			return err
		}
		var refused []change.Refusal
		steps, refused, err = New().Steps(ctx, refs[i:i+1], ids[i:i+1])
		if failed, _ := New().Check(ctx, steps); len(failed)+len(refused) > 0 {
			t.Errorf("refused %v, failed %v", refused, failed)
		}
		if err != nil {
			return err
		}
		_, err = New().Edit(ctx, 0, steps)
		return err
	})
	s.MustDo(t, func(ctx context.Context) error {
		if refs, _ := found(ctx, t); len(refs) != len(services)-1 || slices.ContainsFunc(refs, func(r host.Ref) bool { return r.Text == text }) {
			t.Errorf("left: %v", refs)
		}
		if _, err := New().Edit(ctx, 0, journaled(t, change.Invert(steps))); err != nil {
			return err
		}
		after, err := New().World(ctx)
		if err == nil && !slices.Equal(after.Places["ipvs IPVS service"], world.Places["ipvs IPVS service"]) {
			t.Errorf("before %v, after %v", world.Places, after.Places)
		}
		return err
	})
	if after := sorted(listing(t, s)); after != sorted(before) {
		t.Errorf("before:\n%s\nafter:\n%s", before, after)
	}
}

// sorted puts the paragraphs of services in order: the kernel's is that of a hash.
func sorted(text string) string {
	var parts []string
	for line := range strings.Lines(text) {
		if strings.HasPrefix(line, "-a") || strings.HasPrefix(line, "  ->") {
			parts[len(parts)-1] += line
		} else {
			parts = append(parts, line)
		}
	}
	slices.Sort(parts)
	return strings.Join(parts, "")
}

// What an interrupted rollback left is finished; what somebody else made
// meanwhile stays, and is told.
func TestHalfAServiceIsFinished(t *testing.T) {
	s := balancer(t, services["masquerading"].commands...)
	before := listing(t, s)
	steps := ended(t, s)
	s.MustRun(t, "", "ipvsadm", "-A", "-t", "192.0.2.1:80", "-s", "rr")
	s.MustRun(t, "", "ipvsadm", "-a", "-t", "192.0.2.1:80", "-r", "10.77.2.2:8080", "-m", "-w", "3")
	s.MustDo(t, func(ctx context.Context) error {
		_, err := New().Edit(ctx, 0, change.Invert(steps))
		return err
	})
	if after := listing(t, s); after != before {
		t.Errorf("before:\n%s\nafter:\n%s", before, after)
	}
	steps = ended(t, s)
	s.MustRun(t, "", "ipvsadm", "-A", "-t", "192.0.2.1:80", "-s", "wlc")
	theirs := listing(t, s)
	s.MustDo(t, func(ctx context.Context) error {
		if _, err := New().Edit(ctx, 0, change.Invert(steps)); err == nil || !strings.Contains(err.Error(), "another stands there now") {
			t.Errorf("somebody else's service: %v", err)
		}
		return nil
	})
	if after := listing(t, s); after != theirs {
		t.Errorf("somebody else's service was changed:\n%s", after)
	}
}

// ended ends every service and gives the steps.
func ended(t *testing.T, s labtest.Space) (steps []change.Step) {
	t.Helper()
	s.MustDo(t, func(ctx context.Context) error {
		refs, ids := found(ctx, t)
		var err error
		if steps, _, err = New().Steps(ctx, refs, ids); err != nil {
			return err
		}
		_, err = New().Edit(ctx, 0, steps)
		return err
	})
	return steps
}

// A snapshot of one namespace makes the same in another.
func TestASnapshotIsLoaded(t *testing.T) {
	var all []string
	for _, c := range services {
		all = append(all, c.commands...)
	}
	from, to := balancer(t, all...), balancer(t)
	var was *change.World
	from.MustDo(t, func(ctx context.Context) (err error) {
		was, err = New().World(ctx)
		return err
	})
	to.MustDo(t, func(ctx context.Context) error {
		lacking, err := Load(ctx, was.Files[RawFile])
		if err != nil || len(lacking) > 0 {
			t.Errorf("lacking %q, %v", lacking, err)
		}
		is, err := New().World(ctx)
		if err == nil && !slices.Equal(is.Places["ipvs IPVS service"], was.Places["ipvs IPVS service"]) {
			t.Errorf("was %s\nis %s", was.Files["ipvs.txt"], is.Files["ipvs.txt"])
		}
		return err
	})
}

func TestTornSnapshotsAreRefused(t *testing.T) {
	for _, text := range []string{"service", "service 3\nab", "service 2\nabc", "destination 1\na\n", "flow 1\na\n", "service -1\n\n"} {
		if got, err := parseFile([]byte(text)); err == nil {
			t.Errorf("%q is taken for %v", text, got)
		}
	}
}

func TestAChangedServiceStays(t *testing.T) {
	s := balancer(t, services["masquerading"].commands...)
	s.MustDo(t, func(ctx context.Context) error {
		refs, ids := found(ctx, t)
		steps, _, err := New().Steps(ctx, refs, ids)
		if err != nil {
			return err
		}
		s.MustRun(t, "", "ipvsadm", "-e", "-t", "192.0.2.1:80", "-r", "10.77.2.2:8080", "-m", "-w", "9")
		if _, err := New().Edit(ctx, 0, steps); !errors.Is(err, change.ErrStale) {
			t.Errorf("deleting it: %v, want ErrStale", err)
		}
		if _, _, err := New().Steps(ctx, refs, ids); !errors.Is(err, change.ErrStale) {
			t.Errorf("planning it: %v, want ErrStale", err)
		}
		if refs, _ := found(ctx, t); len(refs) != 1 {
			t.Errorf("left: %v", refs)
		}
		return nil
	})
}

func TestAFailingStepUndoesTheOthers(t *testing.T) {
	s := balancer(t, services["persistent"].commands...)
	before := listing(t, s)
	s.MustDo(t, func(ctx context.Context) error {
		refs, ids := found(ctx, t)
		steps, _, err := New().Steps(ctx, refs, ids)
		if err != nil {
			return err
		}
		steps = append(steps, change.Step{Action: change.Add, After: &change.Object{Text: "nonsense", Raw: []byte{1}}})
		if _, err := New().Edit(ctx, 0, steps); err == nil {
			t.Error("a step that cannot be done went unnoticed")
		}
		return nil
	})
	if after := listing(t, s); after != before {
		t.Errorf("before:\n%s\nafter:\n%s", before, after)
	}
}

// A service is proven by its bytes alone; what is not known in them cannot be
// proven. No kernel is asked.
func TestWhatCannotComeBackIsSaid(t *testing.T) {
	attrs := func(extra ...byte) []byte {
		u16 := func(v uint16) []byte { return binary.NativeEndian.AppendUint16(nil, v) }
		var b []byte
		for _, a := range []struct {
			kind uint16
			data []byte
		}{{1, u16(2)}, {2, u16(6)}, {3, []byte{192, 0, 2, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0}}, {4, []byte{0, 80}}, {6, []byte("rr\x00")},
			{7, []byte{0, 0, 0, 0, 255, 255, 255, 255}}, {8, make([]byte, 4)}, {9, []byte{255, 255, 255, 255}}} {
			b = append(b, genl.Attribute(a.kind, a.data)...)
		}
		return append(b, extra...)
	}
	good, err := ipvs.Pack(attrs(), nil)
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		o    change.Object
		want string
	}{
		"as it was":              {change.Object{Raw: attrs(), Fingerprint: good.Fingerprint, Text: good.Text}, ""},
		"an attribute of later":  {change.Object{Raw: attrs(genl.Attribute(40, []byte{1})...), Fingerprint: good.Fingerprint, Text: good.Text}, "attribute 40"},
		"a flag of later":        {change.Object{Raw: append(attrs(), genl.Attribute(7, []byte{0, 1, 0, 0, 255, 255, 255, 255})...), Fingerprint: good.Fingerprint}, "flags 0x100"},
		"no bytes":               {change.Object{Fingerprint: good.Fingerprint}, "could not be sent again"},
		"other bytes":            {change.Object{Raw: attrs(), Fingerprint: "00", Text: good.Text}, "come back as"},
		"a destination of later": {change.Object{Raw: attrs(), Parts: []change.Part{{Raw: genl.Attribute(1, make([]byte, 16))}}}, "could not be sent again"},
		"known before":           {change.Object{Raw: attrs(), Fingerprint: good.Fingerprint, Text: good.Text, Names: map[string]string{noWay: "the reason"}}, "the reason"},
	} {
		failed, err := New().Check(t.Context(), []change.Step{{Before: &c.o}})
		if err != nil || c.want == "" && len(failed) > 0 || !strings.Contains(failed[0], c.want) {
			t.Errorf("%s: %v, %v; want %q", name, failed, err, c.want)
		}
	}
}

// FuzzParseFile feeds torn snapshots: what is taken is all of the file.
func FuzzParseFile(f *testing.F) {
	f.Add([]byte("service 3\nabc\ndestination 0\n\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		objects, err := parseFile(b)
		if err != nil {
			return
		}
		n := 0
		for _, o := range objects {
			n += len(o.Raw)
			for _, p := range o.Parts {
				n += len(p.Raw)
			}
		}
		if n > len(b) {
			t.Errorf("%d bytes of %d", n, len(b))
		}
	})
}
