package policy

import "fmt"

// windows tells of windows that will not open any more.
func (l *linter) windows(windows []Window) {
	for i := range windows {
		w := &windows[i]
		if _, ever := w.next(l.now); !ever && !w.Contains(l.now) {
			l.about(Warning, "change", w.Line, "window %s never opens again", w)
		}
	}
}

// about is add for what is no entry of the allowlist.
func (l *linter) about(level, id string, line int, format string, args ...any) {
	l.findings = append(l.findings, Finding{level, id, line, fmt.Sprintf(format, args...)})
}
