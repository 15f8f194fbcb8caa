package audit

import "github.com/natwarden/natwarden/internal/host"

// shutOff makes the redirects of a namespace that no packet from outside
// reaches inactive, whatever their mechanism, and says it of its listeners. One that never was anything but a
// saved form stays that: it speaks of the next boot.
func shutOff(rows []host.Redirect, space *host.Space) {
	if space.Unreached == "" {
		return
	}
	for i := range space.Listeners {
		l := &space.Listeners[i]
		l.Unreached, l.Notes = true, append(l.Notes, space.Unreached)
	}
	for i := range rows {
		if rows[i].State != host.Saved && rows[i].State != host.Inactive {
			rows[i].State, rows[i].Why = host.Inactive, []string{space.Unreached}
		}
	}
}
