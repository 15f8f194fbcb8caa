package lab_test

import (
	"context"
	"errors"
	"os"
	"testing"
	"time"

	"github.com/natwarden/natwarden/internal/lab"
	"github.com/natwarden/natwarden/internal/lab/labtest"
)

func TestTheTriangleForwardsAndAnswers(t *testing.T) {
	labtest.New(t, "iptables") // skips where there is no lab
	ctx, stop := context.WithTimeout(context.Background(), 20*time.Second)
	defer stop()
	tri, err := lab.NewTriangle(ctx)
	if err != nil {
		t.Fatal(err)
	}
	defer tri.Close()
	g, err := tri.Backend.Greet(ctx, lab.BackendAddr+":8080", "the backend")
	if err != nil {
		t.Fatal(err)
	}
	defer g.Close()
	if got, err := tri.Client.Ask(ctx, lab.BackendAddr+":8080"); err != nil || got != "the backend" {
		t.Errorf("the client, by the host's forwarding: %q, %v", got, err)
	}
	if _, err := tri.Client.Ask(ctx, lab.HostAddr+":80"); !errors.Is(err, lab.ErrRefused) {
		t.Errorf("port 80 without a rule: %v, want refused", err)
	}
	if _, err := tri.Host.Run(ctx, "", "iptables", "-t", "nat", "-A", "PREROUTING", "-p", "tcp", "--dport", "80",
		"-j", "DNAT", "--to-destination", lab.BackendAddr+":8080"); err != nil {
		t.Fatal(err)
	}
	if got, err := tri.Client.Ask(ctx, lab.HostAddr+":80"); err != nil || got != "the backend" {
		t.Errorf("port 80 with the rule: %q, %v", got, err)
	}
}

func TestTheTriangleLeavesNoName(t *testing.T) {
	labtest.New(t)
	before, _ := os.ReadDir("/run/netns")
	tri, err := lab.NewTriangle(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	during, _ := os.ReadDir("/run/netns")
	tri.Close()
	if len(before) != len(during) {
		t.Errorf("/run/netns had %d names, has %d", len(before), len(during))
	}
}
