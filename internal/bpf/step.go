package bpf

import (
	"github.com/cilium/ebpf/asm"
)

// step carries one instruction out on what is known. Calls and jumps are the
// walk's.
func (w *walk) step(ins *asm.Instruction, f *frame) {
	switch ins.OpCode.Class() {
	case asm.LdClass:
		w.constantLoad(ins, f)
	case asm.LdXClass:
		load(ins, f)
	case asm.StClass, asm.StXClass:
		w.store(ins, f)
	case asm.ALU64Class:
		alu64(ins, f)
	case asm.ALUClass:
		alu32(ins, f)
	}
}

// The ways in which a 64 bit constant is more than a number: BPF_PSEUDO_* of
// include/uapi/linux/bpf.h.
const (
	pseudoMapFD    = 1
	pseudoMapValue = 2
	pseudoFunc     = 4
	pseudoMapIndex = 5
	pseudoIndexVal = 6
)

func (w *walk) constantLoad(ins *asm.Instruction, f *frame) {
	if !ins.OpCode.IsDWordLoad() {
		f.regs[asm.R0] = value{} // BPF_LD_ABS and BPF_LD_IND read the packet into r0
		return
	}
	switch ins.Src {
	case 0:
		f.regs[ins.Dst] = constant(ins.Constant)
	case pseudoMapFD, pseudoMapIndex:
		f.regs[ins.Dst] = value{sort: mapHandle}
	case pseudoMapValue, pseudoIndexVal:
		f.regs[ins.Dst] = value{sort: mapMemory}
	case pseudoFunc:
		w.giveUp("it passes functions of its own to the kernel")
	default:
		f.regs[ins.Dst] = value{}
	}
}

func load(ins *asm.Instruction, f *frame) {
	base, out := f.regs[ins.Src], value{}
	whole := ins.OpCode.Size() == asm.DWord
	switch {
	case base.sort == stack && whole && !base.vague:
		out = f.slots[base.offset+int64(ins.Offset)]
	case base.sort == mapHandle && whole:
		out.sort = mapMemory // an inlined lookup reads where the value stands
	}
	f.regs[ins.Dst] = out
}

// store is harmless on the program's own stack and in maps; through any other
// pointer it may change a packet, its metadata or an address.
func (w *walk) store(ins *asm.Instruction, f *frame) {
	base := f.regs[ins.Dst]
	what := value{}
	if ins.OpCode.Class() == asm.StXClass {
		what = f.regs[ins.Src]
	}
	plain := ins.OpCode.Mode() == asm.MemMode
	switch {
	case base.sort == stack:
		base.offset += int64(ins.Offset)
		if !plain {
			what = value{}
		}
		f.write(base, int64(ins.OpCode.Size().Sizeof()), what)
	case !base.pointer():
		w.writes = true
	}
	if !plain { // an atomic operation may fetch into its source or r0, and a load is one as well
		f.regs[ins.Src], f.regs[asm.R0] = value{}, value{}
		if !base.pointer() {
			f.regs[ins.Dst] = value{}
		}
	}
}

func alu64(ins *asm.Instruction, f *frame) {
	operand := constant(ins.Constant)
	if ins.OpCode.Source() == asm.RegSource {
		operand = f.regs[ins.Src]
	}
	dst := &f.regs[ins.Dst]
	switch ins.OpCode.ALUOp() {
	case asm.Mov:
		if ins.Offset > 0 { // a cast to another address space
			operand = value{}
		}
		*dst = operand
	case asm.Add:
		*dst = add(*dst, operand)
	case asm.Sub:
		if n, ok := operand.single(); ok {
			*dst = add(*dst, constant(-n))
		} else {
			*dst = add(*dst, value{})
		}
		if operand.pointer() {
			*dst = value{}
		}
	default:
		*dst = value{}
	}
}

// add keeps a pointer what it is: the kernel's verifier has proven that it
// stays within what it points to.
func add(a, b value) value {
	if b.pointer() {
		a, b = b, a
	}
	switch {
	case b.pointer(): // two pointers: only code of the kernel's own does that
		return value{}
	case a.sort == stack:
		n, ok := b.single()
		return value{sort: stack, offset: a.offset + n, vague: a.vague || !ok}.canonical()
	case a.pointer():
		return value{sort: a.sort}
	}
	n, ok := a.single()
	m, ok2 := b.single()
	if ok && ok2 {
		return constant(n + m)
	}
	return value{}
}

// canonical drops the offset of a pointer whose offset is not known.
func (v value) canonical() value {
	if v.vague {
		v.offset = 0
	}
	return v
}

func alu32(ins *asm.Instruction, f *frame) {
	out := value{}
	if ins.OpCode.ALUOp() == asm.Mov && ins.Offset == 0 {
		if ins.OpCode.Source() == asm.ImmSource {
			out = constant(int64(int32(ins.Constant)))
		} else if f.regs[ins.Src].sort == number {
			out = f.regs[ins.Src]
		}
	}
	f.regs[ins.Dst] = out
}
