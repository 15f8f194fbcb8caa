package audit

import (
	"fmt"
	"strings"

	"github.com/natwarden/natwarden/internal/host"
)

// renumber tells rows of different namespaces apart whose ids are equal, because
// labels that name a process are no part of them: the second is ID-2. Within one
// namespace that is what they are numbered by already.
func renumber(rows []host.Redirect) {
	seen := make(map[string]int, len(rows))
	for i := range rows {
		base, _, _ := strings.Cut(rows[i].ID, "-")
		if seen[base]++; seen[base] > 1 {
			rows[i].ID = fmt.Sprintf("%s-%d", base, seen[base])
		}
	}
}
