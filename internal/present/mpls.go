package present

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"

	"github.com/natwarden/natwarden/internal/host"
)

// labelsPath is how many MPLS labels the namespace takes; it is there while
// mpls_router is loaded (Documentation/networking/mpls-sysctl.rst).
const labelsPath = "/proc/sys/net/mpls/platform_labels"

// labels looks for a table of MPLS labels.
func labels(context.Context, *host.Space) ([]host.Blind, error) {
	text, err := os.ReadFile(labelsPath)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("reading the number of MPLS labels: %w", err)
	}
	if n := strings.TrimSpace(string(text)); n != "0" {
		return []host.Blind{spot("MPLS", "the namespace switches by labels (%s), and its label table is not judged: see `ip -M route`", n)}, nil
	}
	return nil, nil
}
