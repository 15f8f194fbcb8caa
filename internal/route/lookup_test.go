package route

import (
	"context"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/natwarden/natwarden/internal/host"
	"github.com/natwarden/natwarden/internal/lab/labtest"
)

// A router is asked long after it was opened where the machine is busy, or other
// sources take their time. What the opening waited for is over then.
func TestARouterAnswersHoweverLateItIsAsked(t *testing.T) {
	s := labtest.New(t, "ip")
	s.MustRun(t, links, "ip", "-force", "-batch", "-")
	var r *Router
	s.MustDo(t, func(ctx context.Context) (err error) {
		r, err = OpenRouter(ctx)
		return err
	})
	defer r.Close()
	late := func() {
		if err := r.conn.SetDeadline(time.Unix(1, 0)); err != nil {
			t.Fatal(err)
		}
	}
	late()
	if lo, hi := r.Around(netip.MustParseAddr("203.0.113.7")); lo == hi {
		t.Errorf("no route tells 203.0.113.7 from its neighbours, and it is for itself: %s to %s", lo, hi)
	}
	late()
	if way := r.Route(host.RouteQuery{Dst: netip.MustParseAddr("10.77.1.1")}); way.Kind != host.RouteLocal {
		t.Errorf("an own address is routed %v: %s", way.Kind, strings.TrimSpace(way.Why))
	}
}
