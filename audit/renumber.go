package audit

import (
	"fmt"
	"strings"

	"github.com/natwarden/natwarden/internal/host"
)

// numbers counts the rows of a report by their ids.
type numbers map[string]int

// tell tells rows of different namespaces apart whose ids are equal, because
// labels that name a process are no part of them: the second is ID-2. Within one
// namespace that is what they are numbered by already.
func (n numbers) tell(rows []host.Redirect) {
	for i := range rows {
		base, _, _ := strings.Cut(rows[i].ID, "-")
		if n[base]++; n[base] > 1 {
			rows[i].ID = fmt.Sprintf("%s-%d", base, n[base])
		}
	}
}
