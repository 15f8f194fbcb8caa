package main

import (
	"context"
	"strings"
	"testing"

	"github.com/natwarden/natwarden/internal/lab/labtest"
)

// Where iptables is not installed the demo's rule is the same, made by netlink.
func TestTheDemosRuleByNetlink(t *testing.T) {
	space := labtest.New(t, "nft")
	space.MustDo(t, func(context.Context) error { return addByNetlink() })
	got := space.MustRun(t, "", "nft", "list", "table", "ip", "nat")
	for _, want := range []string{"chain PREROUTING", "type nat hook prerouting priority dstnat", "dnat to 192.168.1.10:8080"} {
		if !strings.Contains(got, want) {
			t.Errorf("%q is missing in\n%s", want, got)
		}
	}
	if !strings.Contains(got, "tcp dport 80") && !strings.Contains(got, "th dport 80") {
		t.Errorf("port 80 is missing in\n%s", got)
	}
}
