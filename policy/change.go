package policy

import (
	"fmt"
	"path"

	"go.yaml.in/yaml/v3"
)

// Change says when a change may be made, and who must agree to it.
type Change struct {
	// Windows are the times in which a change may be made; none: always.
	Windows []Window
	// Approvals is how many people must have signed the plan; 0: nobody.
	Approvals int
	// AllowedSigners is the path of the file that says who may sign (ssh-keygen(1),
	// ALLOWED SIGNERS); "" where nobody is asked.
	AllowedSigners string
	Line           int // of the file
}

func changeObject() object[Change] {
	return object[Change]{what: "change", done: finishChange, extra: schema{"dependentRequired": schema{"approvals": []string{"allowed_signers"}}}, keys: []key[Change]{
		filled(listOf("windows", "when a change may be made; absent: always", windowObject(), func(c *Change) *[]Window { return &c.Windows })),
		approvalsKey(),
		absolute("allowed_signers", "the file that says who may sign, as of ssh-keygen(1): /etc/natwarden/allowed_signers", func(c *Change) *string { return &c.AllowedSigners }),
	}}
}

// mostApprovals keeps the number one that a person can mean.
const mostApprovals = 20

func approvalsKey() key[Change] {
	doc := "how many people must have signed the plan (ssh-keygen -Y sign -n natwarden)"
	k := number("approvals", doc, func(*Change) **int { return new(*int) })
	k.schema = schema{"type": "integer", "minimum": 1, "maximum": mostApprovals}
	k.read = func(r *reader, n *yaml.Node, into *Change) {
		var value *int
		before := len(r.errs)
		number("approvals", doc, func(*Change) **int { return &value }).read(r, n, into)
		if len(r.errs) > before || value == nil {
			return
		}
		if into.Approvals = *value; *value < 1 || *value > mostApprovals {
			r.add(n, fmt.Sprintf("approvals must be from 1 to %d, not %d", mostApprovals, *value), "remove the key where nobody is to be asked")
		}
	}
	return k
}

// absolute is a key that takes the path of a file.
func absolute[T any](name, doc string, field func(*T) *string) key[T] {
	return key[T]{name: name, doc: doc, schema: schema{"type": "string", "pattern": "^/"}, read: func(r *reader, n *yaml.Node, into *T) {
		text, ok := r.text(n, name)
		if ok && !path.IsAbs(text) {
			r.add(n, fmt.Sprintf("%s: %q is relative", name, text), "write the whole path, from / on")
			return
		}
		*field(into) = text
	}}
}

// finishChange looks at what the keys say together.
func finishChange(r *reader, n *yaml.Node, c *Change) {
	c.Line = n.Line
	if approvals := valueOf(n, "approvals"); approvals != nil && valueOf(n, "allowed_signers") == nil {
		r.add(approvals, "approvals without allowed_signers", "say whose signatures count: allowed_signers: /etc/natwarden/allowed_signers")
	}
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
