package policy

import (
	"fmt"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// schema is a piece of JSON Schema.
type schema = map[string]any

// key is one key of a mapping of the file: how it is called, documented,
// checked and read. The parser and the JSON Schema are both made from it, so
// that they cannot disagree.
type key[T any] struct {
	name     string
	doc      string
	required bool
	schema   schema
	read     func(r *reader, n *yaml.Node, into *T)
}

// object is a mapping of the file.
type object[T any] struct {
	what  string // "an entry of redirects"
	keys  []key[T]
	extra schema // what JSON Schema is to demand beside the keys
	// check looks at what single keys cannot tell; may be nil.
	check func(r *reader, at *yaml.Node, seen map[string]*yaml.Node)
	// done looks at what was read of a mapping, once all its keys are; may be nil.
	done func(r *reader, n *yaml.Node, into *T)
}

func (o object[T]) read(r *reader, n *yaml.Node, into *T) {
	if n.Kind == yaml.AliasNode {
		return // refused already
	}
	if n.Kind != yaml.MappingNode {
		r.add(n, o.what+" must be a mapping, not "+kindOf(n), "KEY: VALUE, with the keys "+o.names())
		return
	}
	seen := map[string]*yaml.Node{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		o.readKey(r, n.Content[i], n.Content[i+1], seen, into)
	}
	for _, k := range o.keys {
		if k.required && seen[k.name] == nil {
			r.add(n, fmt.Sprintf("%s has no %s", o.what, k.name), k.doc)
		}
	}
	if o.check != nil {
		o.check(r, n, seen)
	}
	if o.done != nil {
		o.done(r, n, into)
	}
}

func (o object[T]) readKey(r *reader, name, value *yaml.Node, seen map[string]*yaml.Node, into *T) {
	i := slices.IndexFunc(o.keys, func(k key[T]) bool { return k.name == name.Value })
	switch {
	case name.Kind != yaml.ScalarNode:
		r.add(name, "a key must be a word", "the keys of "+o.what+" are "+o.names())
	case name.Tag == "!!merge":
	case seen[name.Value] != nil:
		r.add(name, fmt.Sprintf("duplicate key %q", name.Value), fmt.Sprintf("it stands in line %d already", seen[name.Value].Line))
	case i < 0:
		seen[name.Value] = name
		r.add(name, fmt.Sprintf("unknown key %q in %s", name.Value, o.what), o.hint(name.Value))
	default:
		seen[name.Value] = name
		o.keys[i].read(r, value, into)
	}
}

func (o object[T]) names() string {
	names := make([]string, len(o.keys))
	for i, k := range o.keys {
		names[i] = k.name
	}
	return strings.Join(names, ", ")
}

// hint guesses which key was meant.
func (o object[T]) hint(unknown string) string {
	names := make([]string, len(o.keys))
	for i, k := range o.keys {
		names[i] = k.name
	}
	if near := nearest(unknown, names); near != "" {
		return fmt.Sprintf("did you mean %q?", near)
	}
	return "known are " + o.names()
}

func (o object[T]) schema() schema {
	properties, required := schema{}, []string{}
	for _, k := range o.keys {
		value := schema{"description": k.doc}
		for name, v := range k.schema {
			value[name] = v
		}
		properties[k.name] = value
		if k.required {
			required = append(required, k.name)
		}
	}
	s := schema{"type": "object", "additionalProperties": false, "properties": properties}
	if len(required) > 0 {
		s["required"] = required
	}
	for name, v := range o.extra {
		s[name] = v
	}
	return s
}

// nested is a key whose value is a mapping.
func nested[T, U any](name, doc string, o object[U], field func(*T) *U) key[T] {
	return key[T]{name: name, doc: doc, schema: o.schema(), read: func(r *reader, n *yaml.Node, into *T) {
		o.read(r, n, field(into))
	}}
}

// listOf is a key whose value is a list of mappings.
func listOf[T, U any](name, doc string, o object[U], field func(*T) *[]U) key[T] {
	s := schema{"type": "array", "items": o.schema()}
	return key[T]{name: name, doc: doc, schema: s, read: func(r *reader, n *yaml.Node, into *T) {
		if n.Kind == yaml.AliasNode {
			return
		}
		if n.Kind != yaml.SequenceNode {
			r.add(n, name+" must be a list, not "+kindOf(n), "- "+o.names()+"; an empty list is []")
			return
		}
		for _, item := range n.Content {
			var u U
			o.read(r, item, &u)
			*field(into) = append(*field(into), u)
		}
	}}
}

func (k key[T]) must() key[T] {
	k.required = true
	return k
}
