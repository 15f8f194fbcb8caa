package policy

import (
	"strings"

	"go.yaml.in/yaml/v3"
)

// node is the match of the draft as the parser would see it.
func (d *draft) node() *yaml.Node {
	root := &yaml.Node{Kind: yaml.MappingNode, Tag: "!!map", Line: 1, Column: 1}
	inner := map[string]*yaml.Node{}
	for _, f := range d.fields {
		outer, name, nested := strings.Cut(f.name, ".")
		into := root
		if nested {
			if inner[outer] == nil {
				inner[outer] = &yaml.Node{Kind: yaml.MappingNode, Tag: "!!map"}
				root.Content = append(root.Content, textNode(outer), inner[outer])
			}
			into = inner[outer]
		} else {
			name = f.name
		}
		into.Content = append(into.Content, textNode(name), valueNode(f))
	}
	return root
}

func valueNode(f field) *yaml.Node {
	list := &yaml.Node{Kind: yaml.SequenceNode, Tag: "!!seq"}
	for _, v := range f.values {
		list.Content = append(list.Content, textNode(v))
	}
	if f.name == "transparent" {
		return &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!bool", Value: f.values[0]}
	}
	return list
}

func textNode(text string) *yaml.Node {
	return &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Value: text}
}
