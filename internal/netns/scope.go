package netns

import (
	"fmt"
	"path/filepath"
	"strconv"
	"strings"
)

// Scope is which network namespaces are looked at, as --netns names them. The
// zero value is the one in which natwarden was started.
type Scope struct {
	all     bool
	current bool
	labels  []string // names, paths and pid:N, as Open takes them
}

// AllSpaces is the scope of every namespace that can be found.
func AllSpaces() Scope { return Scope{all: true} }

// ParseScope reads the values of --netns: current, all, NAME (of
// /run/netns), PATH (of a namespace file), pid:N or fd:PID/FD (a descriptor that
// a process holds). No value is current.
func ParseScope(values []string) (Scope, error) {
	s := Scope{current: len(values) == 0}
	for _, v := range values {
		switch {
		case v == "all":
			s.all = true
		case v == "current":
			s.current = true
		default:
			if _, err := pathOf(v); err != nil {
				return Scope{}, err
			}
			s.labels = append(s.labels, v)
		}
	}
	return s, nil
}

// String writes the scope as the flag takes it, separated by commas.
func (s Scope) String() string { return strings.Join(s.Values(), ",") }

// Values are the values of --netns that give this scope.
func (s Scope) Values() []string {
	if s.all {
		return []string{"all"}
	}
	if s.current || len(s.labels) == 0 {
		return append([]string{"current"}, s.labels...)
	}
	return s.labels
}

// namedDir is where named namespaces are mounted (ip-netns(8)).
const namedDir = "/run/netns"

// pathOf gives the namespace file that a label stands for.
func pathOf(label string) (string, error) {
	if of, ok := strings.CutPrefix(label, "fd:"); ok {
		return descriptorPath(of)
	}
	switch pid, ofProcess := strings.CutPrefix(label, "pid:"); {
	case label == "":
		return startedInPath, nil
	case ofProcess:
		n, err := strconv.ParseUint(pid, 10, 31)
		if err != nil || n == 0 {
			return "", fmt.Errorf("%q names no process: want pid:N with a process number", label)
		}
		return fmt.Sprintf("/proc/%d/ns/net", n), nil
	case strings.ContainsRune(label, 0):
		return "", fmt.Errorf("%q is no network namespace: a name holds no zero byte", label)
	case filepath.IsAbs(label):
		return label, nil
	case label == "." || label == ".." || strings.ContainsRune(label, '/'):
		return "", fmt.Errorf("%q is no network namespace: want current, all, a name in %s, an absolute path, or pid:N", label, namedDir)
	}
	return filepath.Join(namedDir, label), nil
}

// descriptorPath gives the file behind "PID/FD".
func descriptorPath(text string) (string, error) {
	pid, fd, ok := strings.Cut(text, "/")
	p, err := strconv.ParseUint(pid, 10, 31)
	n, err2 := strconv.ParseUint(fd, 10, 31)
	if !ok || err != nil || err2 != nil || p == 0 {
		return "", fmt.Errorf("%q names no open file: want fd:PID/FD with two numbers", "fd:"+text)
	}
	return fmt.Sprintf("/proc/%d/fd/%d", p, n), nil
}
