package bpf

import "slices"

// sort is what a register is known to hold.
type sort uint8

const (
	other     sort = iota // anything: a computed number, or a pointer that may lead to a packet, a socket, a context
	number                // one of few constants
	stack                 // a pointer into the program's own stack
	mapHandle             // a pointer to a map, or into what an inlined lookup computes from one
	mapMemory             // a pointer to a value of a map
)

// mostNumbers bounds the constants that are kept for one register.
const mostNumbers = 8

// value is the content of a register or stack slot.
type value struct {
	sort    sort
	offset  int64   // of a stack pointer, from the frame pointer
	vague   bool    // of a stack pointer: offset is not known
	numbers []int64 // sorted
}

func constant(n int64) value { return value{sort: number, numbers: []int64{n}} }

func (v value) single() (int64, bool) {
	if v.sort != number || len(v.numbers) != 1 {
		return 0, false
	}
	return v.numbers[0], true
}

func (v value) pointer() bool { return v.sort > number }

func (v value) toMap() bool { return v.sort == mapHandle || v.sort == mapMemory }

// null says whether it is the pointer to nothing that a lookup gives: the
// kernel's verifier has proven that nobody writes there.
func (v value) null() bool {
	n, ok := v.single()
	return ok && n == 0
}

func (v value) equal(o value) bool {
	return v.sort == o.sort && v.offset == o.offset && v.vague == o.vague && slices.Equal(v.numbers, o.numbers)
}

// join is what is known where two ways meet.
func (v value) join(o value) value {
	switch {
	case v.toMap() && o.null():
		return v
	case o.toMap() && v.null():
		return o
	case v.sort != o.sort:
		return value{}
	case v.sort == stack && (v.offset != o.offset || v.vague || o.vague):
		return value{sort: stack, vague: true}
	case v.sort == number:
		all := slices.Compact(slices.Sorted(slices.Values(slices.Concat(v.numbers, o.numbers))))
		if len(all) > mostNumbers {
			return value{}
		}
		return value{sort: number, numbers: all}
	}
	return v
}

// frame is the state before an instruction: registers, and the stack slots
// that hold pointers. Slots that are not listed hold anything.
type frame struct {
	regs  [11]value
	slots map[int64]value
}

func (f *frame) clone() *frame {
	out := &frame{regs: f.regs}
	if len(f.slots) > 0 {
		out.slots = make(map[int64]value, len(f.slots))
		for k, v := range f.slots {
			out.slots[k] = v
		}
	}
	return out
}

// absorb joins another state into this one and says whether that changed it.
func (f *frame) absorb(o *frame) bool {
	changed := false
	for i := range f.regs {
		if j := f.regs[i].join(o.regs[i]); !j.equal(f.regs[i]) {
			f.regs[i], changed = j, true
		}
	}
	for at, v := range f.slots {
		j := value{}
		if w, ok := o.slots[at]; ok {
			j = v.join(w)
		}
		switch {
		case !j.pointer():
			delete(f.slots, at)
			changed = true
		case !j.equal(v):
			f.slots[at], changed = j, true
		}
	}
	return changed
}

// write notes that a stack slot was written. Writing somewhere unknown forgets
// every slot, and writing a part of a slot that slot.
func (f *frame) write(at value, size int64, what value) {
	if at.vague {
		f.slots = nil
		return
	}
	for slot := range f.slots {
		if slot < at.offset+size && at.offset < slot+8 {
			delete(f.slots, slot)
		}
	}
	if size == 8 && what.pointer() {
		if f.slots == nil {
			f.slots = map[int64]value{}
		}
		f.slots[at.offset] = what
	}
}
