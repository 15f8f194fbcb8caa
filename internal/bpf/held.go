package bpf

import (
	"context"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"

	"github.com/natwarden/natwarden/internal/proc"
)

// keepers say what keeps programs and links alive: processes and pins.
type keepers struct {
	programs map[uint32][]int // pids by program id
	links    map[uint32][]int
	// programPins and linkPins are paths in bpffs.
	programPins, linkPins map[uint32][]string
	unread                int // processes whose descriptors could not be read
	describer             *proc.Describer
}

// findKeepers walks /proc/*/fd and the mounted bpffs trees once.
func findKeepers(ctx context.Context) *keepers {
	k := &keepers{programs: map[uint32][]int{}, links: map[uint32][]int{}, programPins: map[uint32][]string{}, linkPins: map[uint32][]string{},
		describer: proc.NewDescriber(nil)}
	k.pins(ctx)
	entries, err := os.ReadDir("/proc")
	if err != nil {
		k.unread++
		return k
	}
	own := os.Getpid()
	for _, e := range entries {
		pid, err := strconv.Atoi(e.Name())
		if err == nil && pid != own && ctx.Err() == nil {
			k.process(pid)
		}
	}
	return k
}

func (k *keepers) process(pid int) {
	dir := fmt.Sprintf("/proc/%d/", pid)
	f, err := os.Open(dir + "fd")
	if err != nil {
		if !os.IsNotExist(err) {
			k.unread++
		}
		return
	}
	defer f.Close()
	names, _ := f.Readdirnames(-1) // a process that ends meanwhile holds nothing any more
	for _, name := range names {
		target, err := os.Readlink(dir + "fd/" + name)
		if err == nil && strings.HasPrefix(target, "anon_inode:bpf") {
			k.descriptor(pid, dir+"fdinfo/"+name)
		}
	}
}

// descriptor reads what a descriptor of the bpf system call says of itself:
// "prog_id:" alone is a program's, with "link_id:" a link's.
func (k *keepers) descriptor(pid int, path string) {
	text, err := os.ReadFile(path)
	if err != nil {
		return
	}
	ids := map[string]uint32{}
	for line := range strings.Lines(string(text)) {
		key, rest, ok := strings.Cut(line, ":")
		if n, err := strconv.ParseUint(strings.TrimSpace(rest), 10, 32); ok && err == nil {
			ids[key] = uint32(n)
		}
	}
	if id, ok := ids["link_id"]; ok {
		note(k.links, id, pid)
	} else if id, ok := ids["prog_id"]; ok {
		note(k.programs, id, pid)
	}
}

func note[T comparable](m map[uint32][]T, id uint32, v T) {
	if !slices.Contains(m[id], v) {
		m[id] = append(m[id], v)
	}
}

// words says who keeps an attachment.
func (k *keepers) words(ctx context.Context, program, link uint32) []string {
	var out []string
	for _, pid := range k.links[link] {
		if link != 0 {
			out = append(out, fmt.Sprintf("link held by %s", k.name(ctx, pid)))
		}
	}
	for _, pid := range k.programs[program] {
		out = append(out, fmt.Sprintf("program held by %s", k.name(ctx, pid)))
	}
	for _, path := range k.linkPins[link] {
		if link != 0 {
			out = append(out, "link pinned at "+path)
		}
	}
	for _, path := range k.programPins[program] {
		out = append(out, "program pinned at "+path)
	}
	if len(out) == 0 && k.unread > 0 {
		out = append(out, fmt.Sprintf("no holder found; %d processes could not be looked into", k.unread))
	}
	return out
}

func (k *keepers) name(ctx context.Context, pid int) string {
	p, err := k.describer.Describe(ctx, pid)
	if err != nil {
		return fmt.Sprintf("process %d", pid)
	}
	return fmt.Sprintf("process %d (%s, %s)", pid, p.Name, p.Exe)
}
