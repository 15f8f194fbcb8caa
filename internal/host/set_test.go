package host

import (
	"math/rand/v2"
	"net/netip"
	"testing"
)

// The laws of sets, held against a bit for each port.
func TestPortSetsAreSets(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for range 2000 {
		a, b := randomPorts(r), randomPorts(r)
		and, or, not := a.Intersect(b), a.Union(b), NotPorts(a)
		for range 50 {
			p := Port(r.UintN(65536))
			if r.IntN(4) == 0 {
				p = []Port{0, 1, 65534, 65535}[r.IntN(4)]
			}
			inA, inB := a.Has(p), b.Has(p)
			if and.Has(p) != (inA && inB) || or.Has(p) != (inA || inB) || not.Has(p) == inA {
				t.Fatalf("port %d: a=%s b=%s and=%s or=%s not=%s", p, PortsString(a), PortsString(b), PortsString(and), PortsString(or), PortsString(not))
			}
		}
		if !a.Contains(and) || !b.Contains(and) || !or.Contains(a) || !or.Contains(b) {
			t.Fatalf("containment: a=%s b=%s", PortsString(a), PortsString(b))
		}
		if !NotPorts(not).Equal(a) || a.Contains(b) != (b.Intersect(NotPorts(a)).Empty()) {
			t.Fatalf("complement: a=%s b=%s", PortsString(a), PortsString(b))
		}
	}
}

func randomPorts(r *rand.Rand) Ports {
	if r.IntN(10) == 0 {
		return nil
	}
	set := Nothing[Port]()
	for range r.IntN(5) {
		lo := r.UintN(65536)
		hi := min(lo+r.UintN(3000), 65535)
		if r.IntN(5) == 0 {
			lo = 0
		}
		if r.IntN(5) == 0 {
			hi = 65535
		}
		set = set.Union(PortsOf(uint16(lo), uint16(hi)))
	}
	return WholePorts(set)
}

func TestPortsInWords(t *testing.T) {
	for _, tt := range []struct {
		text string
		want Ports
	}{
		{"any", nil},
		{"80", PortsOf(80, 80)},
		{"80,443,9000-9005", Of(Range[Port]{80, 80}, Range[Port]{443, 443}, Range[Port]{9000, 9005})},
		{"!22", NotPorts(PortsOf(22, 22))},
		{"!22,80", NotPorts(Of(Range[Port]{22, 22}, Range[Port]{80, 80}))},
		{"1024-65535", PortsOf(1024, 65535)},
		{"0-1023", PortsOf(0, 1023)},
	} {
		got, err := ParsePorts(tt.text)
		if err != nil || !got.Equal(tt.want) || PortsString(got) != tt.text {
			t.Errorf("%q: %v, %v, written %q", tt.text, got, err, PortsString(got))
		}
	}
	for _, bad := range []string{"", "70000", "-1", "80-", "90-80", "80;81", "!", "http", "80,,81"} {
		if got, err := ParsePorts(bad); err == nil || got.Any() {
			t.Errorf("%q was read as %v", bad, got)
		}
	}
}

func TestAddressesInWords(t *testing.T) {
	for _, text := range []string{"10.0.5.1", "10.0.5.0/24", "10.0.5.1-10.0.5.9", "!10.0.0.0/8", "10.0.0.1,10.0.0.3", "2001:db8::/32", "!2001:db8::1", "fd00::1-fd00::5"} {
		got, err := ParseAddrs(text)
		if err != nil || AddrsString(got) != text {
			t.Errorf("%q: %v, written %q", text, err, AddrsString(got))
		}
	}
	for _, whole := range []string{"", "any", "0.0.0.0/0", "::/0"} {
		if got, err := ParseAddrs(whole); err != nil || !got.Any() {
			t.Errorf("%q: %v %v", whole, got, err)
		}
	}
	for _, bad := range []string{"10.0.0.256", "10.0.0.1,::1", "10.0.0.9-10.0.0.1", "fe80::1%eth0", "x", "10.0.0.0/33"} {
		if got, err := ParseAddrs(bad); err == nil || got.Any() {
			t.Errorf("%q was read as %v", bad, got)
		}
	}
}

func TestTheLastAddressHasNoNext(t *testing.T) {
	last := netip.MustParseAddr("255.255.255.255")
	set := AddrRange(netip.MustParseAddr("255.255.255.0"), last)
	if not := NotAddrs(set); AddrsString(not) != "!255.255.255.0/24" && not.Has(last) {
		t.Errorf("got %s", AddrsString(not))
	}
	if NotAddrs(set).Has(last) {
		t.Error("the complement holds what it must not")
	}
}

func TestTargetsInWords(t *testing.T) {
	for _, text := range []string{"10.77.2.2:8080", "10.77.2.2", "10.0.0.1-10.0.0.9", "10.0.0.1-10.0.0.9:80-90", "10.77.2.2:80-81/9000",
		"[fd77:2::2]:8080", "fd77:2::2", "10.77.2.2/32", "10.0.5.0/24", "fd00::/64", ":3128", ":*", ":0", "dev:h1", "unix:/run/x.sock", "10.0.5.0/24:8080"} {
		got, err := ParseTarget(text)
		if err != nil || got.String() != text {
			t.Errorf("%q: %v, written %q", text, err, got.String())
		}
	}
	for _, bad := range []string{"", ":", ":70000", "10.0.0.1:", "10.0.0.1:90-80", "dev:", "host.example:80", "[fd00::1:80"} {
		if got, err := ParseTarget(bad); err == nil {
			t.Errorf("%q was read as %s", bad, got)
		}
	}
}

func FuzzWords(f *testing.F) {
	f.Add("80,443-500")
	f.Add("!10.0.0.0/8")
	f.Add("[fd00::1]:80-90/7")
	f.Fuzz(func(t *testing.T, text string) {
		if p, err := ParsePorts(text); err == nil {
			again, err := ParsePorts(PortsString(p))
			if !p.Empty() && (err != nil || !again.Equal(p)) {
				t.Errorf("ports %q: %v, %v", text, again, err)
			}
		}
		if a, err := ParseAddrs(text); err == nil && !a.Empty() {
			if again, err := ParseAddrs(AddrsString(a)); err != nil || !again.Equal(a) {
				t.Errorf("addresses %q: %v, %v", text, again, err)
			}
		}
		if p, err := ParseProtos(text); err == nil && !p.Empty() {
			if again, err := ParseProtos(ProtosString(p)); err != nil || !again.Equal(p) {
				t.Errorf("protocols %q: %v, %v", text, again, err)
			}
		}
		if x, err := ParseTarget(text); err == nil {
			if again, err := ParseTarget(x.String()); err != nil || again.String() != x.String() {
				t.Errorf("target %q: %s, %v", text, again, err)
			}
		}
	})
}
