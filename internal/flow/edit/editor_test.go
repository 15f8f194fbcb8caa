package edit

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/natwarden/natwarden/internal/change"
	"github.com/natwarden/natwarden/internal/flow"
	"github.com/natwarden/natwarden/internal/host"
	"github.com/natwarden/natwarden/internal/lab/labtest"
)

// insert puts entries into the conntrack table of the space.
func insert(t *testing.T, s labtest.Space, entries ...string) {
	t.Helper()
	s.MustRun(t, "table ip nat { chain p { type nat hook prerouting priority -100; }; }\ntable ip6 nat { chain p { type nat hook prerouting priority -100; }; }\n", "nft", "-f", "-")
	for _, e := range entries {
		s.MustRun(t, "", append([]string{"conntrack", "-I", "-t", "100"}, strings.Fields(e)...)...)
	}
}

const (
	web    = "-p tcp --state ESTABLISHED -u SEEN_REPLY,ASSURED -s 10.77.1.2 -d 10.77.1.1 --sport 40000 --dport 80 -g 10.77.2.2:8080"
	web2   = "-p tcp --state ESTABLISHED -u SEEN_REPLY,ASSURED -s 10.77.1.3 -d 10.77.1.1 --sport 40000 --dport 80 -g 10.77.2.2:8080"
	zoned  = "-p tcp --state ESTABLISHED -u SEEN_REPLY,ASSURED -s 10.77.1.2 -d 10.77.1.1 --sport 40000 --dport 80 -g 10.77.2.2:8080 -w 5"
	other  = "-p tcp --state ESTABLISHED -u SEEN_REPLY,ASSURED -s 10.77.1.2 -d 10.77.1.1 --sport 40001 --dport 81 -g 10.77.2.2:8080"
	dns    = "-p udp -s 10.77.1.2 -d 10.77.1.1 --sport 5000 --dport 53 -g 10.77.2.2:5353"
	plain  = "-p tcp --state ESTABLISHED -u SEEN_REPLY,ASSURED -s 10.77.1.2 -d 10.77.1.1 --sport 40002 --dport 80"
	source = "-p tcp --state ESTABLISHED -u SEEN_REPLY,ASSURED -s 10.77.1.2 -d 10.77.9.1 --sport 40003 --dport 80 -n 10.77.9.9"
	web6   = "-p tcp --state ESTABLISHED -u SEEN_REPLY,ASSURED -s 2001:db8::2 -d 2001:db8::1 --sport 40000 --dport 80 -g [2001:db8:1::1]:8080"
)

func texts(flows []flow.Flow) []string {
	var out []string
	for _, f := range flows {
		text := f.String()
		if f.Zone != 0 {
			text += fmt.Sprintf(" zone %d", f.Zone)
		}
		out = append(out, text)
	}
	slices.Sort(out)
	return out
}

func flowsOf(t *testing.T, s labtest.Space) (out []string) {
	t.Helper()
	s.MustDo(t, func(ctx context.Context) error {
		flows, err := flow.Translated(ctx)
		out = texts(flows)
		return err
	})
	return out
}

func TestOnlyTranslatedFlowsAreListed(t *testing.T) {
	s := labtest.New(t, "conntrack", "nft")
	if got := flowsOf(t, s); len(got) != 0 {
		t.Errorf("an empty space has %v", got)
	}
	insert(t, s, web, zoned, dns, plain, source, web6)
	want := []string{
		"tcp 10.77.1.2:40000 -> 10.77.1.1:80 (answered by 10.77.2.2:8080)",
		"tcp 10.77.1.2:40000 -> 10.77.1.1:80 (answered by 10.77.2.2:8080) zone 5",
		"tcp [2001:db8::2]:40000 -> [2001:db8::1]:80 (answered by [2001:db8:1::1]:8080)",
		"udp 10.77.1.2:5000 -> 10.77.1.1:53 (answered by 10.77.2.2:5353)",
	}
	if got := flowsOf(t, s); !slices.Equal(got, want) {
		t.Errorf("listed\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

// riding is the question for the rule "tcp dport 80 dnat to 10.77.2.2:8080".
func riding(proto host.Proto, port uint16, to string) func(flow.Flow) bool {
	target, err := host.ParseTarget(to)
	if err != nil {
		panic(err) // a constant of the tests
	}
	return flow.Riding(&host.Match{Protos: host.ProtosOf(proto), Ports: host.PortsOf(port, port)}, []host.Target{target}, "dnat")
}

// cutIn makes the steps and carries them out, as a journal would bring them back.
func cutIn(t *testing.T, s labtest.Space, ask func(flow.Flow) bool) (steps []change.Step, out change.Outcome) {
	t.Helper()
	s.MustDo(t, func(ctx context.Context) error {
		made, err := CutSteps(ctx, ask)
		if err != nil {
			return err
		}
		b, err := json.Marshal(made)
		if err != nil {
			return err
		}
		if err := json.Unmarshal(b, &steps); err != nil {
			return err
		}
		if failed, err := (Editor{}).Check(ctx, steps); err != nil || len(failed) != 0 {
			t.Errorf("the check failed: %v, %v", failed, err)
		}
		out, err = Editor{}.Edit(ctx, 0, steps)
		return err
	})
	return steps, out
}

func count(t *testing.T, s labtest.Space) int {
	t.Helper()
	return strings.Count(s.MustRun(t, "", "conntrack", "-L")+s.MustRun(t, "", "conntrack", "-L", "-f", "ipv6"), "src=") / 2
}

func TestOnlyTheFlowsOfTheRuleAreCut(t *testing.T) {
	s := labtest.New(t, "conntrack", "nft")
	insert(t, s, web, web2, zoned, other, dns, plain, source, web6)
	before := count(t, s)
	steps, out := cutIn(t, s, riding(host.TCP, 80, "10.77.2.2:8080"))
	if len(steps) != 3 || len(out.Undone) != 0 {
		t.Errorf("%d steps, undone %v", len(steps), out.Undone)
	}
	for _, step := range steps {
		if o := step.Object(); step.Action != change.Cut || step.Reversible || step.After != nil || o.Kind != "flow" || o.Backend != Backend || o.Family != host.IP || o.Fingerprint == "" {
			t.Errorf("step %+v of %+v", step, o)
		}
	}
	want := []string{
		"tcp 10.77.1.2:40001 -> 10.77.1.1:81 (answered by 10.77.2.2:8080)",
		"tcp [2001:db8::2]:40000 -> [2001:db8::1]:80 (answered by [2001:db8:1::1]:8080)",
		"udp 10.77.1.2:5000 -> 10.77.1.1:53 (answered by 10.77.2.2:5353)",
	}
	if got := flowsOf(t, s); !slices.Equal(got, want) {
		t.Errorf("left\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	if after := count(t, s); after != before-3 {
		t.Errorf("%d entries of %d are left, want three fewer", after, before)
	}
	if steps, _ := cutIn(t, s, riding(host.UDP, 53, "10.77.2.2:5353")); len(steps) != 1 || len(flowsOf(t, s)) != 2 {
		t.Errorf("of the UDP mapping: %v, left %v", steps, flowsOf(t, s))
	}
	if steps, _ := cutIn(t, s, riding(host.TCP, 80, "[2001:db8:1::1]:8080")); len(steps) != 1 || len(flowsOf(t, s)) != 1 {
		t.Errorf("of the IPv6 flow: %v, left %v", steps, flowsOf(t, s))
	}
}

// Between planning and cutting a flow may end: that is fine. Another may take
// its tuple: its id differs, and it is not to be touched.
func TestAnotherFlowOfTheSameTupleStays(t *testing.T) {
	s := labtest.New(t, "conntrack", "nft")
	insert(t, s, web)
	s.MustDo(t, func(ctx context.Context) error {
		steps, err := CutSteps(ctx, riding(host.TCP, 80, "10.77.2.2:8080"))
		if err != nil || len(steps) != 1 {
			t.Fatalf("%d steps, %v", len(steps), err)
		}
		right := steps[0].Before.Raw
		for _, c := range []struct {
			key  []byte
			left int
		}{{otherID(right), 1}, {right, 0}, {right, 0}} {
			steps[0].Before.Raw = c.key
			if out, err := (Editor{}).Edit(ctx, 0, steps); err != nil || len(out.Undone) != 0 {
				t.Errorf("undone: %v, %v", out.Undone, err)
			}
			if left, err := flow.Translated(ctx); err != nil || len(left) != c.left {
				t.Errorf("left %v, want %d; %v", texts(left), c.left, err)
			}
		}
		return nil
	})
}

// otherID changes the last byte of a key, which is that of CTA_ID: the kernel
// lists the id before the zone, and this flow has none.
func otherID(key []byte) []byte {
	out := slices.Clone(key)
	out[len(out)-1] ^= 1
	return out
}

func TestImpossibleStepsAreNamed(t *testing.T) {
	key := change.Object{Kind: "flow", Backend: Backend, Raw: []byte("not a key")}
	rule := change.Object{Kind: "rule", Backend: "nf_tables"}
	steps := []change.Step{{Before: &key}, {After: &key}, {Before: &rule}, {}}
	failed, err := Editor{}.Check(context.Background(), steps)
	if err != nil || len(failed) != len(steps) {
		t.Errorf("failed %v, %v", failed, err)
	}
	s := labtest.New(t, "conntrack", "nft")
	insert(t, s, web)
	s.MustDo(t, func(ctx context.Context) error {
		out, err := Editor{}.Edit(ctx, 0, steps)
		if len(out.Undone) != len(steps) {
			t.Errorf("undone %v", out.Undone)
		}
		return err
	})
	if got := flowsOf(t, s); len(got) != 1 {
		t.Errorf("left %v", got)
	}
}

func TestNoStepsForRules(t *testing.T) {
	steps, refused, err := Editor{}.Steps(context.Background(), []host.Ref{{Backend: "nf_tables"}}, []string{"x"})
	if err != nil || len(steps) != 0 || len(refused) != 1 {
		t.Errorf("%v %v %v", steps, refused, err)
	}
	if w, err := (Editor{}).World(context.Background()); err != nil || len(w.Places) != 0 || w.Places == nil {
		t.Errorf("%+v %v", w, err)
	}
}

// The real thing: a connection made through a redirect goes on after the rule
// is gone, and ends when its flow is cut. One that nothing redirected goes on.
func TestACutConnectionEnds(t *testing.T) {
	s := labtest.New(t, "nft", "ip")
	s.MustRun(t, "", "ip", "link", "set", "lo", "up")
	s.MustRun(t, "table ip lab { chain o { type nat hook output priority -100; tcp dport 80 redirect to :8080; }; }", "nft", "-f", "-")
	var redirected, direct net.Conn
	s.MustDo(t, func(ctx context.Context) error {
		l, err := net.Listen("tcp4", "127.0.0.1:8080")
		if err != nil {
			return err
		}
		t.Cleanup(func() { l.Close() })
		go echo(l)
		redirected, direct = connect(t, ":80"), connect(t, ":8080")
		return nil
	})
	s.MustRun(t, "", "nft", "delete", "table", "ip", "lab")
	// Without a rule nothing asks for conntrack any more; keep it in the path.
	s.MustRun(t, "table ip lab { chain o { type nat hook output priority -100; }; chain i { type filter hook input priority 0; ct state new counter; }; }", "nft", "-f", "-")
	if err := talk(redirected); err != nil {
		t.Fatalf("before the cut: %v", err)
	}
	target, err := host.ParseTarget(":8080")
	if err != nil {
		t.Fatal(err)
	}
	steps, out := cutIn(t, s, flow.Riding(&host.Match{Ports: host.PortsOf(80, 80)}, []host.Target{target}, "redirect"))
	if len(steps) != 1 || len(out.Undone) != 0 {
		t.Fatalf("steps %v, undone %v", steps, out.Undone)
	}
	if err := talk(redirected); !errors.Is(err, syscall.ECONNRESET) && !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("after the cut: %v", err)
	}
	if err := talk(direct); err != nil {
		t.Errorf("the other connection: %v", err)
	}
}

func echo(l net.Listener) {
	for {
		c, err := l.Accept()
		if err != nil {
			return
		}
		go func() {
			defer c.Close()
			b := make([]byte, 10)
			for {
				n, err := c.Read(b)
				if err != nil {
					return
				}
				_, _ = c.Write(b[:n])
			}
		}()
	}
}

func connect(t *testing.T, port string) net.Conn {
	t.Helper()
	c, err := net.DialTimeout("tcp4", "127.0.0.1"+port, 5*time.Second)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	if err := talk(c); err != nil {
		t.Fatal(err)
	}
	return c
}

func talk(c net.Conn) error {
	_ = c.SetDeadline(time.Now().Add(2 * time.Second))
	if _, err := c.Write([]byte("x")); err != nil {
		return err
	}
	_, err := c.Read(make([]byte, 1))
	return err
}
