package policy

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// ErrPolicy is the sentinel of every bad policy: unreadable, unsafe to trust,
// or not understood. The command maps it to exit status 78.
var ErrPolicy = errors.New("the policy cannot be used")

// Error is one mistake in a policy file.
type Error struct {
	File    string
	Line    int // from 1
	Col     int // from 1
	Message string
	Hint    string // what to write instead; may be ""
}

// Error writes "file:line:col: message (hint)".
func (e Error) Error() string {
	text := fmt.Sprintf("%s:%d:%d: %s", e.File, e.Line, e.Col, e.Message)
	if e.Hint != "" {
		text += " (" + e.Hint + ")"
	}
	return text
}

// Errors is every mistake in a policy file, in the order of the file.
type Errors []Error

// Error writes one line for each mistake.
func (e Errors) Error() string {
	lines := make([]string, len(e))
	for i := range e {
		lines[i] = e[i].Error()
	}
	return strings.Join(lines, "\n")
}

// Is makes errors.Is(err, ErrPolicy) true.
func (e Errors) Is(target error) bool { return target == ErrPolicy }

// sorted gives the errors in the order of the file, or nil for none: an empty
// Errors in an error value would not be nil.
func (e Errors) sorted() error {
	if len(e) == 0 {
		return nil
	}
	slices.SortStableFunc(e, func(a, b Error) int {
		return cmp.Or(cmp.Compare(a.Line, b.Line), cmp.Compare(a.Col, b.Col))
	})
	return slices.Compact(e)
}
