package xtables

import (
	"fmt"
	"strings"

	"github.com/natwarden/natwarden/internal/host"
)

// priorities of the tables (enum nf_ip_hook_priorities, include/uapi/linux/netfilter_ipv4.h).
var priorities = map[string]int{"raw": -300, "mangle": -150, "filter": 0, "security": 50}

// The priorities of table nat: NF_IP_PRI_NAT_DST where the destination is
// translated, NF_IP_PRI_NAT_SRC where the source is.
const (
	priorityDestination = -100
	prioritySource      = 100
)

func (d *decoder) base(c Chain) *host.Base {
	if c.Hook < 0 {
		return nil
	}
	b := &host.Base{Hook: strings.ToLower(c.Name), Type: "filter", Policy: "accept"}
	if c.Policy == verdictDrop {
		b.Policy = "drop"
	}
	priority, known := priorities[d.t.Name]
	switch {
	case d.t.Name == "nat":
		b.Type, b.Priority = "nat", natPriority(c.Name)
	case known:
		b.Priority = priority
	default:
		d.blind = append(d.blind, host.Blind{Source: Source, What: fmt.Sprintf("%s %s %s", d.t.Family, d.t.Name, c.Name),
			Why: "no table of this name is known, so when its chain runs is not"})
	}
	return b
}

func natPriority(chain string) int {
	if chain == "PREROUTING" || chain == "OUTPUT" {
		return priorityDestination
	}
	return prioritySource
}
