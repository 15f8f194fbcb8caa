package bpf

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
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

	code []byte // as the kernel translated it; nil where it is not shown
}

// readProgram reads a program by its id.
func readProgram(id uint32) (*Program, error) {
	fd, err := openProgram(ebpf.ProgramID(id))
	if err != nil {
		return nil, fmt.Errorf("reading eBPF program %d: %w", id, err)
	}
	defer fd.Close()
	info, code, maps, err := describe(fd.FD())
	if err != nil {
		return nil, fmt.Errorf("reading eBPF program %d: %w", id, err)
	}
	return &Program{ID: id, Name: info.text(), Tag: info.tagText(), Type: fd.Type(), UID: info.uid,
		Loaded: time.Duration(info.loaded), Maps: maps, code: code}, nil
}

// IDOf gives the id of an open program.
func IDOf(p *ebpf.Program) (uint32, error) {
	var info programInfo
	err := infoOf(p.FD(), &info)
	return info.id, err
}

// instructions decodes the program's code.
func (p *Program) instructions() (asm.Instructions, error) {
	if len(p.code) == 0 {
		return nil, errors.New("the kernel does not show it")
	}
	code, err := asm.AppendInstructions(nil, bytes.NewReader(p.code), byteOrder(), "linux")
	if err != nil {
		return nil, fmt.Errorf("decoding it: %w", err)
	}
	return code, nil
}

// byteOrder is the host's, as one of the two that the decoder compares with: it
// takes any other, even the native one under its own name, without the registers.
func byteOrder() binary.ByteOrder {
	if binary.NativeEndian.Uint16([]byte{1, 0}) == 1 {
		return binary.LittleEndian
	}
	return binary.BigEndian
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
