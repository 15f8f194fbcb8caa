package policy

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"

	"go.yaml.in/yaml/v3"
)

// Parse reads a policy; name stands for the file in errors. The error is an
// Errors with every mistake.
func Parse(data []byte, name string) (*Policy, error) {
	r := &reader{file: name}
	if len(data) > MaxSize {
		r.at(1, 1, "the policy is larger than 1 MiB", "write fewer, wider entries")
		return nil, r.errs.sorted()
	}
	root := r.document(data)
	if root == nil {
		return nil, r.errs.sorted()
	}
	var f file
	fileObject().read(r, root, &f)
	r.entries(root, &f.allow)
	r.probes(root, &f)
	if err := r.errs.sorted(); err != nil {
		return nil, err
	}
	return f.policy(data, name), nil
}

// entries gives each entry its line and finds ids that are used twice.
func (r *reader) entries(root *yaml.Node, a *allow) {
	ids := map[string]int{}
	allowed := valueOf(root, "allow")
	for i, n := range itemsOf(valueOf(allowed, "redirects"), len(a.redirects)) {
		r.remember(ids, &a.redirects[i].Entry, n)
	}
	for i, n := range itemsOf(valueOf(allowed, "listeners"), len(a.listeners)) {
		r.remember(ids, &a.listeners[i].Entry, n)
	}
}

// valueOf gives the value of the first such key of a mapping, or nil.
func valueOf(n *yaml.Node, name string) *yaml.Node {
	if n == nil || n.Kind != yaml.MappingNode {
		return nil
	}
	for i := 0; i+1 < len(n.Content); i += 2 {
		if n.Content[i].Value == name {
			return n.Content[i+1]
		}
	}
	return nil
}

func itemsOf(n *yaml.Node, count int) []*yaml.Node {
	if n == nil || n.Kind != yaml.SequenceNode {
		return nil
	}
	return n.Content[:min(count, len(n.Content))]
}

func (f *file) policy(data []byte, name string) *Policy {
	sum, usual := sha256.Sum256(data), usualDefaults()
	return &Policy{
		Path: name, SHA256: hex.EncodeToString(sum[:]), Source: data,
		Defaults: Defaults{
			Redirects: cmp.Or(f.defaults.Redirects, usual.Redirects),
			Listeners: cmp.Or(f.defaults.Listeners, usual.Listeners),
			Latent:    cmp.Or(f.defaults.Latent, usual.Latent),
		},
		Limits:    f.limits,
		Change:    f.change,
		Smoke:     f.smoke,
		Closed:    f.closed,
		Redirects: f.allow.redirects, Listeners: f.allow.listeners,
		index: newIndex(f.allow.redirects),
	}
}
