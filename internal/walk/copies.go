package walk

import (
	"fmt"

	"github.com/natwarden/natwarden/internal/host"
)

// judgeCopies makes a redirect of copies whose original is dropped at once: then
// whoever gets the copy is the only one to answer. Otherwise a copy is
// information.
func (n *node) judgeCopies(rows []host.Redirect, rule int, b *host.Branch) {
	for i := range rows {
		r := &rows[i]
		if why := n.originalGone(rule, b, r.Match); why != "" && r.State == host.Active {
			r.Info, r.Why = false, append(r.Why, why)
		}
	}
}

// originalGone says what drops every packet of the match that was copied: the
// rule itself, or one behind it in the chain with nothing in between that lets
// some pass; "" for nothing.
func (n *node) originalGone(rule int, b *host.Branch, m *host.Match) string {
	if b.Verdict == host.Drop {
		return "the rule drops the packet itself: only the copy goes on"
	}
	if b.Verdict != host.Continue || n.rewrites {
		return ""
	}
	for i := rule + 1; i < len(n.chain.Rules); i++ {
		for j := range n.chain.Rules[i].Branches {
			next := &n.chain.Rules[i].Branches[j]
			switch {
			case next.Verdict == host.Continue || apart(&next.Match, m):
			case next.Verdict == host.Drop && next.Match.Covers(m):
				return fmt.Sprintf("rule %d drops the packet itself: only the copy goes on", i+1)
			default:
				return ""
			}
		}
	}
	return ""
}

// apart says whether no packet fits both matches.
func apart(a, b *host.Match) bool {
	both := *a
	both.Narrow(b)
	return both.Impossible() && len(both.Lists) == 0
}
