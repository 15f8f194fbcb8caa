package policy

import "github.com/natwarden/natwarden/internal/host"

// processMatch restricts the processes of a row. Each key narrows; what a
// process says of itself (name, arguments) is no key at all.
type processMatch struct{ exe, user, unit, container []string }

func (m *processMatch) any() bool {
	return m.exe == nil && m.user == nil && m.unit == nil && m.container == nil
}

// contains says whether the process is what the match names. exe speaks of the
// host's own file and unit of a system unit: a container can call its files and
// units what it likes.
func (m *processMatch) contains(p *host.Process) bool {
	return (m.exe == nil || p.HostExe && !p.Deleted && fits(m.exe, p.Exe)) &&
		(m.unit == nil || p.SystemUnit && fits(m.unit, p.Unit)) &&
		fits(m.container, p.Container)
}

func (m *processMatch) containsRelay(p *host.Process) bool {
	return m.any() || p != nil && m.contains(p) && fits(m.user, p.User)
}

// containsAll says whether every process on a socket fits; a socket whose
// processes are not known fits nothing that names one.
func (m *processMatch) containsAll(processes []host.Process) bool {
	if m.exe == nil && m.unit == nil && m.container == nil {
		return true
	}
	for i := range processes {
		if !m.contains(&processes[i]) {
			return false
		}
	}
	return len(processes) > 0
}
