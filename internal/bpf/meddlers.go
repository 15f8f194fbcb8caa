package bpf

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
)

// Meddlers names the loaded programs that can make system calls lie: tracing
// programs that write into the memory of processes (bpf_probe_write_user) or
// give functions of the kernel another result (bpf_override_return). The error says
// that not all could be looked at; what was found is given all the same.
func (c *Catalog) Meddlers(ctx context.Context) ([]string, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	var out []string
	var unread error // the first
	for id := ebpf.ProgramID(0); ctx.Err() == nil; {
		next, err := nextProgram(id)
		if errors.Is(err, os.ErrNotExist) || noKernel(err) {
			return out, unread
		}
		if err != nil {
			return out, reading("loaded programs", err)
		}
		id = next
		p, err := c.program(uint32(id))
		if err != nil {
			if !errors.Is(err, os.ErrNotExist) && unread == nil { // else it is gone
				unread = err
			}
			continue
		}
		if !traces(p.Type) {
			continue // it cannot meddle
		}
		if how := c.meddles(p); how != "" {
			out = append(out, fmt.Sprintf("eBPF program %q (id %d) %s", p.Name, p.ID, how))
		}
	}
	return out, ctx.Err()
}

func traces(t ebpf.ProgramType) bool {
	return slices.Contains([]ebpf.ProgramType{ebpf.Kprobe, ebpf.TracePoint, ebpf.PerfEvent, ebpf.RawTracepoint, ebpf.RawTracepointWritable,
		ebpf.Tracing, ebpf.LSM, ebpf.Extension, ebpf.Syscall}, t)
}

// meddles says by which helper; a program whose code is not shown may.
func (c *Catalog) meddles(p *Program) string {
	code, err := p.instructions()
	if err != nil {
		return "traces the kernel, and its code is not shown"
	}
	for _, i := range code {
		if i.OpCode.Class() != asm.JumpClass || i.OpCode.JumpOp() != asm.Call || i.Src != asm.R0 {
			continue
		}
		for _, name := range c.names(i.Constant) {
			switch name {
			case "bpf_probe_write_user":
				return "can write into the memory of processes (bpf_probe_write_user)"
			case "bpf_override_return":
				return "can give functions of the kernel another result (bpf_override_return)"
			}
		}
	}
	return ""
}
