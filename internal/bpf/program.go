package bpf

import (
	"fmt"
	"time"

	"github.com/cilium/ebpf"
)

// Program is one loaded eBPF program and what its code shows.
type Program struct {
	ID     uint32
	Name   string
	Tag    string // the kernel's hash of the instructions, 16 hexadecimal digits
	Type   ebpf.ProgramType
	UID    uint32
	Loaded time.Duration // after boot
	Maps   []uint32

	info *ebpf.ProgramInfo
}

// readProgram reads a program by its id.
func readProgram(id uint32) (*Program, error) {
	fd, err := ebpf.NewProgramFromID(ebpf.ProgramID(id))
	if err != nil {
		return nil, fmt.Errorf("reading eBPF program %d: %w", id, err)
	}
	defer fd.Close()
	info, err := fd.Info()
	if err != nil {
		return nil, fmt.Errorf("reading eBPF program %d: %w", id, err)
	}
	p := &Program{ID: id, Name: info.Name, Tag: info.Tag, Type: info.Type, info: info}
	p.UID, _ = info.CreatedByUID()
	p.Loaded, _ = info.LoadTime()
	maps, _ := info.MapIDs()
	for _, m := range maps {
		p.Maps = append(p.Maps, uint32(m))
	}
	return p, nil
}

// facts are what is known about the program besides its code.
func (p *Program) facts() []string {
	name := p.Name
	if name == "" {
		name = "(no name)"
	}
	out := []string{
		fmt.Sprintf("eBPF program %q id %d tag %s type %s", name, p.ID, p.Tag, p.Type),
		fmt.Sprintf("loaded by uid %d, %s after boot", p.UID, p.Loaded.Truncate(time.Second)),
	}
	if len(p.Maps) > 0 {
		out = append(out, fmt.Sprintf("maps %v", p.Maps))
	}
	return out
}
