package host

import "testing"

func TestAMatchCoversOnlyWhatItSurelyTakes(t *testing.T) {
	web := Match{Family: IP, Protos: ProtosOf(TCP), Ports: PortsOf(80, 80)}
	tests := map[string]struct {
		m, o Match
		want bool
	}{
		"everything covers":             {Match{}, web, true},
		"itself":                        {web, web, true},
		"less does not cover more":      {web, Match{Family: IP, Protos: ProtosOf(TCP)}, false},
		"another family":                {Match{Family: IP6}, web, false},
		"both families cover one":       {Match{Family: Both}, web, true},
		"one does not cover both":       {Match{Family: IP}, Match{Family: Both}, false},
		"a condition that o lacks":      {Match{Conditions: []string{"mark 0x1"}}, web, false},
		"a condition that o has":        {Match{Conditions: []string{"mark 0x1"}}, Match{Conditions: []string{"x", "mark 0x1"}}, true},
		"what can never be true":        {Match{Dead: "past"}, web, false},
		"what waits":                    {Match{Waiting: "set @x is empty"}, web, false},
		"an interface that o lacks":     {Match{In: Ifaces{Names: []string{"h0"}}}, web, false},
		"the same interface":            {Match{In: Ifaces{Names: []string{"h0"}}}, Match{In: Ifaces{Names: []string{"h0"}}}, true},
		"the same interface, but not":   {Match{In: Ifaces{Names: []string{"h0"}, Not: true}}, Match{In: Ifaces{Names: []string{"h0"}}}, false},
		"source ports narrow as well":   {Match{SPorts: PortsOf(1, 1)}, web, false},
		"source addresses narrow, too":  {Match{Source: NotAddrs(nil)}, web, false},
		"wider ports of the same proto": {Match{Protos: ProtosOf(TCP), Ports: PortsOf(1, 1000)}, web, true},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			if got := tt.m.Covers(&tt.o); got != tt.want {
				t.Errorf("got %v", got)
			}
		})
	}
}

func TestNarrowing(t *testing.T) {
	m := Match{Protos: ProtosOf(TCP), In: Ifaces{Names: []string{"h0"}}, Conditions: []string{"a"}}
	m.Narrow(&Match{Family: IP6, Ports: PortsOf(80, 80), In: Ifaces{Names: []string{"h*"}}, Conditions: []string{"a", "b"}})
	if m.Family != IP6 || PortsString(m.Ports) != "80" || len(m.Conditions) != 3 {
		t.Errorf("got %+v", m)
	}
	m.Narrow(&Match{Family: IP})
	if !m.Impossible() {
		t.Error("IPv4 and IPv6 at once is possible")
	}
}

func TestNarrowingLeavesTheOtherAlone(t *testing.T) {
	shared := Match{Conditions: make([]string, 1, 8)}
	a, b := shared, shared
	a.Require("of a")
	b.Require("of b")
	if a.Conditions[1] != "of a" || b.Conditions[1] != "of b" {
		t.Errorf("copies of a match share what they add: %q %q", a.Conditions, b.Conditions)
	}
}
