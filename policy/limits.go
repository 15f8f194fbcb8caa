package policy

import (
	"strconv"

	"go.yaml.in/yaml/v3"
)

// Limits bound what one change may do.
type Limits struct {
	// RemoveAtMost is how many redirects one remediate may end; nil: any number.
	RemoveAtMost *int
}

// mostLimit keeps a limit a number that a person can mean.
const mostLimit = 1_000_000

func limitsObject() object[Limits] {
	return object[Limits]{what: "limits", keys: []key[Limits]{
		number("remove_at_most", "how many redirects one remediate may end: more is refused unless --force limit", func(l *Limits) **int { return &l.RemoveAtMost }),
	}}
}

// number is a key that takes a whole number, 0 or more.
func number[T any](name, doc string, field func(*T) **int) key[T] {
	s := schema{"type": "integer", "minimum": 0, "maximum": mostLimit}
	return key[T]{name: name, doc: doc, schema: s, read: func(r *reader, n *yaml.Node, into *T) {
		if n.Kind == yaml.AliasNode {
			return // refused already
		}
		value, err := strconv.Atoi(n.Value)
		if n.Kind != yaml.ScalarNode || n.Tag != "!!int" || err != nil || value < 0 || value > mostLimit {
			r.add(n, name+" must be a whole number, not "+kindOf(n), "from 0 to 1000000, without quotes")
			return
		}
		*field(into) = &value
	}}
}
