package policy

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"
)

func kindOf(n *yaml.Node) string {
	switch {
	case n.Kind == yaml.SequenceNode:
		return "a list"
	case n.Kind == yaml.MappingNode:
		return "a mapping"
	case n.Tag == "!!null":
		return "nothing"
	case n.Tag == "!!bool", n.Tag == "!!int", n.Tag == "!!float":
		return n.Tag[2:] + " " + strconv.Quote(n.Value)
	}
	return strconv.Quote(n.Value)
}

// text reads a scalar as the words that stand in the file: an id like 12e4
// and a port 80 stay as they are written. ok is false where an error was added.
func (r *reader) text(n *yaml.Node, what string) (text string, ok bool) {
	if n.Kind == yaml.AliasNode {
		return "", false
	}
	if n.Kind != yaml.ScalarNode || n.Tag == "!!bool" || n.Tag == "!!null" {
		r.add(n, what+" must be text, not "+kindOf(n), "write a value, in quotes if YAML takes it for something else, or remove the key")
		return "", false
	}
	if strings.TrimSpace(n.Value) == "" {
		r.add(n, what+" is empty", "write a value or remove the key: an absent key is the whole set")
		return "", false
	}
	return n.Value, true
}

// items gives the values of a key that takes one or a list of them.
func (r *reader) items(n *yaml.Node, what string) []*yaml.Node {
	if n.Kind != yaml.SequenceNode {
		return []*yaml.Node{n}
	}
	if len(n.Content) == 0 {
		r.add(n, what+" is an empty list", "write a value or remove the key: an absent key is the whole set")
	}
	return n.Content
}

// several is the schema of one value or a list of them.
func several(item schema) schema {
	return schema{"anyOf": []any{item, schema{"type": "array", "items": item, "minItems": 1}}}
}

// texts is a key that takes one text or several, any of which fits.
func texts[T any](name, doc string, field func(*T) *[]string) key[T] {
	s := several(schema{"type": []string{"string", "number"}})
	return key[T]{name: name, doc: doc, schema: s, read: func(r *reader, n *yaml.Node, into *T) {
		for _, item := range r.items(n, name) {
			if text, ok := r.text(item, name); ok {
				*field(into) = append(*field(into), text)
			}
		}
	}}
}

// words is a key that takes one or several of the allowed words.
func words[T any](name, doc string, allowed []string, field func(*T) *[]string) key[T] {
	return key[T]{name: name, doc: doc, schema: several(schema{"enum": allowed}), read: func(r *reader, n *yaml.Node, into *T) {
		for _, item := range r.items(n, name) {
			if text, ok := r.word(item, name, allowed); ok {
				*field(into) = append(*field(into), text)
			}
		}
	}}
}

// word is a key that takes exactly one of the allowed words.
func word[T any](name, doc string, allowed []string, field func(*T) *string) key[T] {
	return key[T]{name: name, doc: doc, schema: schema{"enum": allowed}, read: func(r *reader, n *yaml.Node, into *T) {
		if text, ok := r.word(n, name, allowed); ok {
			*field(into) = text
		}
	}}
}

func (r *reader) word(n *yaml.Node, what string, allowed []string) (string, bool) {
	text, ok := r.text(n, what)
	if !ok || slices.Contains(allowed, text) {
		return text, ok
	}
	hint := "one of " + strings.Join(allowed, ", ")
	if near := nearest(text, allowed); near != "" {
		hint = fmt.Sprintf("did you mean %q?", near)
	}
	r.add(n, fmt.Sprintf("%s: %q is not known", what, text), hint)
	return "", false
}

// parsed is a key that takes one or several texts, each read by parse.
func parsed[T any](name, doc string, item schema, parse func(text string, into *T) error) key[T] {
	return key[T]{name: name, doc: doc, schema: several(item), read: func(r *reader, n *yaml.Node, into *T) {
		for _, item := range r.items(n, name) {
			text, ok := r.text(item, name)
			if !ok {
				continue
			}
			if err := parse(text, into); err != nil {
				r.add(item, name+": "+err.Error(), unlessSaid(doc, err))
			}
		}
	}}
}

// unlessSaid is the hint, where the error does not say itself what to write.
func unlessSaid(hint string, err error) string {
	if strings.Contains(err.Error(), "want ") || strings.Contains(err.Error(), "write ") {
		return ""
	}
	return hint
}

// text1 is a key that takes one text.
func text1[T any](name, doc string, field func(*T) *string) key[T] {
	return key[T]{name: name, doc: doc, schema: schema{"type": "string", "minLength": 1}, read: func(r *reader, n *yaml.Node, into *T) {
		*field(into), _ = r.text(n, name)
	}}
}

var idPattern = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$`)

func idKey[T any](field func(*T) *string) key[T] {
	doc := "a name for the entry, unique in the file: letters, digits, dot, dash and underscore, at most 64"
	s := schema{"type": []string{"string", "number"}, "pattern": idPattern.String()}
	return key[T]{name: "id", doc: doc, required: true, schema: s, read: func(r *reader, n *yaml.Node, into *T) {
		text, ok := r.text(n, "id")
		if ok && !idPattern.MatchString(text) {
			r.add(n, fmt.Sprintf("%q is no id", text), doc)
			return
		}
		*field(into) = text
	}}
}

// date is a key that takes a day.
func date[T any](name, doc string, field func(*T) *time.Time) key[T] {
	s := schema{"type": "string", "format": "date"}
	return key[T]{name: name, doc: doc, schema: s, read: func(r *reader, n *yaml.Node, into *T) {
		text, ok := r.text(n, name)
		if !ok {
			return
		}
		t, err := time.Parse(day, text)
		if err != nil {
			r.add(n, fmt.Sprintf("%s: %q is no day of the calendar", name, text), "write it like 2027-03-31")
			return
		}
		*field(into) = t
	}}
}

var periodPattern = regexp.MustCompile(`^([1-9][0-9]{0,3})([dwmy])$`)

func period[T any](name, doc string, field func(*T) *Period) key[T] {
	s := schema{"type": "string", "pattern": periodPattern.String()}
	return key[T]{name: name, doc: doc, schema: s, read: func(r *reader, n *yaml.Node, into *T) {
		text, ok := r.text(n, name)
		m := periodPattern.FindStringSubmatch(text)
		if ok && m == nil {
			r.add(n, fmt.Sprintf("%s: %q is no period", name, text), "a number with d, w, m or y: 31d, 6w, 3m, 1y")
		}
		if m != nil {
			count, _ := strconv.Atoi(m[1])
			*field(into) = Period{count, m[2][0]}
		}
	}}
}

// truth is a key that takes true or false; where only is not nil, just *only.
func truth[T any](name, doc string, only *bool, field func(*T) **bool) key[T] {
	s := schema{"type": "boolean"}
	if only != nil {
		s = schema{"const": *only}
	}
	return key[T]{name: name, doc: doc, schema: s, read: func(r *reader, n *yaml.Node, into *T) {
		value := n.Value == "true"
		switch {
		case n.Kind == yaml.AliasNode:
		case n.Tag != "!!bool" || n.Value != "true" && n.Value != "false":
			r.add(n, name+" must be true or false, not "+kindOf(n), "without quotes, in small letters")
		case only != nil && value != *only:
			r.add(n, fmt.Sprintf("%s can only be %v", name, *only), "remove the key")
		default:
			*field(into) = &value
		}
	}}
}
