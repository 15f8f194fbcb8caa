package audit

import (
	"testing"

	"github.com/natwarden/natwarden/internal/host"
)

func TestTheOrderOfRowsDependsOnNoSource(t *testing.T) {
	rows := inOrder([]host.Redirect{{Mechanism: "flow"}, {Mechanism: "tc", ID: "b"}, {Mechanism: "tc", ID: "a"}, {Mechanism: "route", Ports: "80"}, {Mechanism: "route", Ports: "22"}})
	var got string
	for _, r := range rows {
		got += r.Mechanism + r.Ports + r.ID + " "
	}
	if want := "route22 route80 tca tcb flow "; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}
