package policy

import (
	"fmt"

	"go.yaml.in/yaml/v3"
)

// Change says when a change may be made, and who must agree to it.
type Change struct {
	// Windows are the times in which a change may be made; none: always.
	Windows []Window
}

func changeObject() object[Change] {
	return object[Change]{what: "change", keys: []key[Change]{
		filled(listOf("windows", "when a change may be made; absent: always", windowObject(), func(c *Change) *[]Window { return &c.Windows })),
	}}
}

// mostItems bounds the lists that are asked one by one before each change.
const mostItems = 100

// filled refuses an empty list, of which nobody could tell whether it means
// always or never, and one that is longer than a person can mean.
func filled[T any](k key[T]) key[T] {
	read := k.read
	k.schema["minItems"], k.schema["maxItems"] = 1, mostItems
	k.read = func(r *reader, n *yaml.Node, into *T) {
		if n.Kind == yaml.SequenceNode && len(n.Content) == 0 {
			r.add(n, k.name+" is an empty list", "write an item or remove the key")
		}
		if n.Kind == yaml.SequenceNode && len(n.Content) > mostItems {
			r.add(n, fmt.Sprintf("%s has %d items, %d are the most", k.name, len(n.Content), mostItems), "write fewer")
			return
		}
		read(r, n, into)
	}
	return k
}
