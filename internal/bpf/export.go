package bpf

import (
	"context"
	"slices"
	"strings"
)

// Detachable lists the attachments that an editor can detach, of the namespace
// of the calling thread and of all cgroups, with the pins of their links. Programs of
// hooks that cannot redirect are left out: others come and go there.
func Detachable(ctx context.Context) ([]Attachment, error) {
	all, _, err := Attachments(ctx, true)
	if err != nil {
		return nil, err
	}
	out := slices.DeleteFunc(all, func(a Attachment) bool { return a.Kind == FlowDissector || innocent(a) != "" })
	if !slices.ContainsFunc(out, func(a Attachment) bool { return a.Link != 0 }) {
		return out, nil
	}
	k := &keepers{programPins: map[uint32][]string{}, linkPins: map[uint32][]string{}}
	k.pins(ctx)
	for i := range out {
		if out[i].Link != 0 {
			out[i].LinkPins = k.linkPins[out[i].Link]
		}
	}
	return out, nil
}

// Text says what is attached where, in words.
func (a Attachment) Text() string { return a.text() }

// Mounted says whether a path stands on a mounted bpffs, by the list of mounts.
func Mounted(path string) bool {
	mounts, err := mountsOf("bpf")
	if err != nil {
		return false
	}
	return slices.ContainsFunc(mounts, func(m string) bool { return path == m || strings.HasPrefix(path, strings.TrimSuffix(m, "/")+"/") })
}
