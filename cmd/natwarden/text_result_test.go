package main

import (
	"strings"
	"testing"

	"github.com/natwarden/natwarden/internal/host"
	"github.com/natwarden/natwarden/remediate"
)

// "Nothing is unauthorized" is not said where something could not be read.
func TestNothingDoneBesideWhatIsNotRead(t *testing.T) {
	r := &remediate.Result{Status: remediate.Nothing, ExitCode: exitBlind, Blind: []host.Blind{{Source: "sockets"}}}
	text := paged(func(p *page) { p.resultLine(r, remediated) })
	if strings.Contains(text, "NOTHING TO DO") || !strings.Contains(text, "1 thing could not be read") {
		t.Errorf("%q", text)
	}
}
