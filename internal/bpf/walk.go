package bpf

import (
	"fmt"
	"slices"

	"github.com/cilium/ebpf/asm"
)

// mostInstructions and mostSteps bound how much code is followed.
const (
	mostInstructions = 8192
	mostSteps        = 400_000
)

// walk follows a program's code, all ways at once, and notes what it does.
type walk struct {
	code  asm.Instructions
	raw   []int64       // place of each instruction, in units of eight bytes
	index map[int64]int // and back
	names func(address int64) []string

	states  []*frame
	main    []bool // reached as part of the program itself, not of a subprogram
	todo    []int
	writes  bool     // through a pointer that is neither stack nor map
	calls   []string // helpers that were called, by name
	returns value    // what the program returns
	ended   bool     // an exit was reached
	subs    bool     // it has subprograms
	gaveUp  string
}

func (w *walk) giveUp(why string) {
	if w.gaveUp == "" {
		w.gaveUp = why
	}
}

// follow walks the code. names gives the kernel's names of a helper's address
// relative to __bpf_call_base.
func follow(code asm.Instructions, names func(int64) []string) *walk {
	w := &walk{code: code, names: names, index: map[int64]int{}, states: make([]*frame, len(code)), main: make([]bool, len(code))}
	if len(code) == 0 || len(code) > mostInstructions {
		w.giveUp(fmt.Sprintf("its code has %d instructions, more than are followed", len(code)))
		return w
	}
	at := int64(0)
	for i := range code {
		w.raw, w.index[at] = append(w.raw, at), i
		at += int64(code[i].Size()) / 8
	}
	w.enter(0, &frame{}, true)
	for n := 0; len(w.todo) > 0 && w.gaveUp == ""; n++ {
		if n > mostSteps {
			w.giveUp("its code branches more than is followed")
			break
		}
		i := w.todo[len(w.todo)-1]
		w.todo = w.todo[:len(w.todo)-1]
		w.at(i, w.states[i].clone())
	}
	return w
}

// enter begins a function: its frame pointer is a stack of its own.
func (w *walk) enter(i int, f *frame, main bool) {
	f.regs[asm.R10] = value{sort: stack}
	f.slots = nil
	w.reach(i, f, main)
}

// reach notes that an instruction is reached in a state.
func (w *walk) reach(i int, f *frame, main bool) {
	if i < 0 || i >= len(w.code) {
		w.giveUp("its code runs past its end")
		return
	}
	fresh := w.states[i] == nil
	if fresh {
		w.states[i] = f.clone()
	} else if !w.states[i].absorb(f) && (w.main[i] || !main) {
		return
	}
	w.main[i] = w.main[i] || main
	w.todo = append(w.todo, i)
}

func (w *walk) at(i int, f *frame) {
	ins := &w.code[i]
	if ins.Dst > asm.R10 || ins.Src > asm.R10 {
		w.giveUp("it uses a register that there is not")
		return
	}
	if !ins.OpCode.Class().IsJump() {
		w.step(ins, f)
		w.reach(i+1, f, w.main[i])
		return
	}
	switch op := ins.OpCode.JumpOp(); op {
	case asm.Exit:
		w.exit(f, w.main[i])
	case asm.Call:
		w.call(i, ins, f)
	case asm.Ja:
		to := int64(ins.Offset)
		if ins.OpCode.Class() == asm.Jump32Class {
			to = ins.Constant
		}
		w.jump(i, to, f)
	case asm.JEq, asm.JNE, asm.JGT, asm.JGE, asm.JLT, asm.JLE, asm.JSGT, asm.JSGE, asm.JSLT, asm.JSLE, asm.JSet:
		w.jump(i, int64(ins.Offset), f)
		w.reach(i+1, f, w.main[i])
	default:
		w.giveUp(fmt.Sprintf("instruction %#x is not known", uint32(ins.OpCode)))
	}
}

func (w *walk) jump(i int, by int64, f *frame) {
	to, ok := w.index[w.raw[i]+1+by]
	if !ok {
		w.giveUp("a jump leads into the middle of an instruction")
		return
	}
	w.reach(to, f, w.main[i])
}

func (w *walk) exit(f *frame, main bool) {
	if !main {
		return
	}
	if w.ended {
		w.returns = w.returns.join(f.regs[asm.R0])
	} else {
		w.returns, w.ended = f.regs[asm.R0], true
	}
}

// The kinds of calls: BPF_PSEUDO_CALL and BPF_PSEUDO_KFUNC_CALL of
// include/uapi/linux/bpf.h.
const (
	callHelper = 0
	callOwn    = 1
	callKernel = 2
)

func (w *walk) call(i int, ins *asm.Instruction, f *frame) {
	out := value{}
	switch ins.Src {
	case callOwn:
		w.subs = true
		if !w.sub(i, ins, f) {
			return
		}
	case callKernel:
		w.giveUp("it calls kernel functions (kfuncs)")
		return
	case callHelper:
		out = w.helper(ins)
	default:
		w.giveUp("it makes a call that is not known")
		return
	}
	for r := asm.R0; r <= asm.R5; r++ {
		f.regs[r] = value{}
	}
	f.regs[asm.R0] = out
	w.reach(i+1, f, w.main[i])
}

// sub enters a subprogram. The kernel writes its distance into the offset once
// the program is compiled, and into the constant before.
func (w *walk) sub(i int, ins *asm.Instruction, f *frame) bool {
	by := int64(ins.Offset)
	if by == 0 {
		by = ins.Constant
	}
	to, ok := w.index[w.raw[i]+1+by]
	if !ok {
		w.giveUp("a call leads into the middle of an instruction")
		return false
	}
	inside := &frame{}
	for r := asm.R1; r <= asm.R5; r++ {
		inside.regs[r] = f.regs[r]
		if inside.regs[r].sort == stack { // of the caller: harmless to write, but its slots change
			inside.regs[r] = value{sort: stack, vague: true}
			f.slots = nil
		}
	}
	w.enter(to, inside, false)
	return true
}

// helper notes a call of a helper and gives what it returns.
func (w *walk) helper(ins *asm.Instruction) value {
	if ins.Constant&helperMask == tailCall {
		w.giveUp("it hands over to other programs (tail call)")
		return value{}
	}
	address := ins.Constant
	if address >= 0 {
		address &= helperMask // cilium/ebpf tags it with the platform
	}
	known := w.names(address)
	if len(known) == 0 {
		w.giveUp("the names of the helpers that it calls cannot be read (/proc/kallsyms)")
		return value{}
	}
	if !slices.Contains(w.calls, known[0]) {
		w.calls = append(w.calls, known[0])
	}
	if returnsMapMemory(known[0]) {
		return value{sort: mapMemory}
	}
	return value{}
}

const (
	// helperMask leaves out the platform in cilium/ebpf's numbers of helpers.
	helperMask = 1<<28 - 1
	// tailCall is BPF_FUNC_tail_call: the dump names it by its number.
	tailCall = 12
)
