package bpf

import (
	"context"
	"os"
	"strings"
	"testing"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"

	"github.com/natwarden/natwarden/internal/lab/labtest"
)

// loaded loads a program that ends with the test. Nothing is attached.
func loaded(t testing.TB, kind ebpf.ProgramType, attach ebpf.AttachType, code asm.Instructions) *ebpf.Program {
	t.Helper()
	if os.Geteuid() != 0 {
		labtest.Unmet(t, "needs root to load eBPF programs")
	}
	p, err := ebpf.NewProgram(&ebpf.ProgramSpec{Name: "nwtest", Type: kind, AttachType: attach, Instructions: code, License: "GPL"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.Close() })
	return p
}

func judged(t *testing.T, p *ebpf.Program) Judgement {
	t.Helper()
	id, err := IDOf(p)
	if err != nil {
		t.Fatal(err)
	}
	c := NewCatalog()
	read, err := c.program(id)
	if err != nil {
		t.Fatal(err)
	}
	return c.judgement(context.Background(), read)
}

func returning(n int32) asm.Instructions {
	return asm.Instructions{asm.Mov.Imm(asm.R0, n), asm.Return()}
}

func newMap(t testing.TB, kind ebpf.MapType) *ebpf.Map {
	t.Helper()
	if os.Geteuid() != 0 {
		labtest.Unmet(t, "needs root to make eBPF maps")
	}
	m, err := ebpf.NewMap(&ebpf.MapSpec{Type: kind, KeySize: 4, ValueSize: 8, MaxEntries: 4})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { m.Close() })
	return m
}

// counting looks a value up and adds to it, as every monitor does. The key
// pointer is spilled and filled, as compilers do.
func counting(m *ebpf.Map, verdict int32) asm.Instructions {
	return asm.Instructions{
		asm.StoreImm(asm.RFP, -4, 1, asm.Word),
		asm.Mov.Reg(asm.R2, asm.RFP),
		asm.Add.Imm(asm.R2, -4),
		asm.LoadMapPtr(asm.R1, m.FD()),
		asm.FnMapLookupElem.Call(),
		asm.JEq.Imm(asm.R0, 0, "out"),
		asm.StoreMem(asm.RFP, -16, asm.R0, asm.DWord),
		asm.Mov.Imm(asm.R1, 1),
		asm.LoadMem(asm.R3, asm.RFP, -16, asm.DWord),
		asm.AddAtomic.Mem(asm.R3, asm.R1, asm.DWord, 0),
		asm.Mov.Imm(asm.R0, verdict).WithSymbol("out"),
		asm.Return(),
	}
}

// calling is a program with a subprogram, which gets a pointer into the stack.
func calling() asm.Instructions {
	return asm.Instructions{
		asm.Mov.Reg(asm.R1, asm.RFP),
		asm.Add.Imm(asm.R1, -8),
		asm.Instruction{OpCode: asm.OpCode(asm.JumpClass).SetJumpOp(asm.Call), Src: asm.PseudoCall, Constant: -1}.WithReference("sub"),
		asm.Mov.Imm(asm.R0, 2),
		asm.Return(),
		asm.StoreImm(asm.R1, 0, 7, asm.Word).WithSymbol("sub"),
		asm.Mov.Imm(asm.R0, 4),
		asm.Return(),
	}
}

// twoWays returns one of two verdicts.
func twoWays(a, b int32) asm.Instructions {
	return asm.Instructions{
		asm.FnGetPrandomU32.Call(),
		asm.JEq.Imm(asm.R0, 1, "other"),
		asm.Mov.Imm(asm.R0, a),
		asm.Return(),
		asm.Mov.Imm(asm.R0, b).WithSymbol("other"),
		asm.Return(),
	}
}

// writingXDP writes into the packet.
func writingXDP() asm.Instructions {
	return asm.Instructions{
		asm.LoadMem(asm.R2, asm.R1, 0, asm.Word),
		asm.LoadMem(asm.R3, asm.R1, 4, asm.Word),
		asm.Mov.Reg(asm.R4, asm.R2),
		asm.Add.Imm(asm.R4, 14),
		asm.JGT.Reg(asm.R4, asm.R3, "out"),
		asm.StoreImm(asm.R2, 0, 1, asm.Byte),
		asm.Mov.Imm(asm.R0, 2).WithSymbol("out"),
		asm.Return(),
	}
}

func TestWhatTheKernelTranslatedIsJudged(t *testing.T) {
	array, hash, percpu := newMap(t, ebpf.Array), newMap(t, ebpf.Hash), newMap(t, ebpf.PerCPUArray)
	tail := newProgArray(t)
	for _, c := range []struct {
		name     string
		kind     ebpf.ProgramType
		attach   ebpf.AttachType
		code     asm.Instructions
		harmless bool
		says     string
	}{
		{"XDP that passes", ebpf.XDP, ebpf.AttachXDP, returning(2), true, "XDP_PASS"},
		{"XDP that drops or passes", ebpf.XDP, ebpf.AttachXDP, twoWays(1, 2), true, "only XDP_DROP, XDP_PASS"},
		{"XDP that sends back", ebpf.XDP, ebpf.AttachXDP, twoWays(2, 3), false, "XDP_TX"},
		{"XDP that redirects by its verdict", ebpf.XDP, ebpf.AttachXDP, returning(4), false, "XDP_REDIRECT"},
		{"XDP with a computed verdict", ebpf.XDP, ebpf.AttachXDP, asm.Instructions{asm.FnGetPrandomU32.Call(), asm.Return()}, false, "computed"},
		{"XDP that writes the packet", ebpf.XDP, ebpf.AttachXDP, writingXDP(), false, "neither its stack nor a map"},
		{"XDP with a subprogram", ebpf.XDP, ebpf.AttachXDP, calling(), true, "XDP_PASS"},
		{"counter in an array", ebpf.XDP, ebpf.AttachXDP, counting(array, 2), true, "only its stack and maps"},
		{"counter in a hash", ebpf.SchedCLS, ebpf.AttachNone, counting(hash, 0), true, "TC_ACT_OK"},
		{"counter on each cpu", ebpf.SchedCLS, ebpf.AttachTCXIngress, counting(percpu, -1), true, "TC_ACT_UNSPEC"},
		{"tc that redirects", ebpf.SchedCLS, ebpf.AttachNone,
			asm.Instructions{asm.Mov.Imm(asm.R1, 1), asm.Mov.Imm(asm.R2, 0), asm.FnRedirect.Call(), asm.Return()}, false, "bpf_redirect"},
		{"tc that sets the mark", ebpf.SchedCLS, ebpf.AttachNone,
			asm.Instructions{asm.Mov.Imm(asm.R2, 1), asm.StoreMem(asm.R1, 8, asm.R2, asm.Word), asm.Mov.Imm(asm.R0, 0), asm.Return()}, false, "writes through"},
		{"tail call", ebpf.SchedCLS, ebpf.AttachNone, asm.Instructions{
			asm.LoadMapPtr(asm.R2, tail.FD()), asm.Mov.Imm(asm.R3, 0), asm.FnTailCall.Call(), asm.Mov.Imm(asm.R0, 0), asm.Return()}, false, "tail call"},
		{"sk_lookup that passes", ebpf.SkLookup, ebpf.AttachSkLookup, returning(1), true, "SK_PASS"},
		{"connect4 that allows", ebpf.CGroupSockAddr, ebpf.AttachCGroupInet4Connect, returning(1), true, "returns only 1"},
		{"connect4 that rewrites", ebpf.CGroupSockAddr, ebpf.AttachCGroupInet4Connect,
			asm.Instructions{asm.Mov.Imm(asm.R2, 7), asm.StoreMem(asm.R1, 4, asm.R2, asm.Word), asm.Mov.Imm(asm.R0, 1), asm.Return()}, false, "writes through"},
	} {
		t.Run(c.name, func(t *testing.T) {
			j := judged(t, loaded(t, c.kind, c.attach, c.code))
			if j.Harmless != c.harmless || !strings.Contains(j.Why, c.says) {
				t.Errorf("harmless %v (%s), want %v with %q", j.Harmless, j.Why, c.harmless, c.says)
			}
		})
	}
}

func newProgArray(t testing.TB) *ebpf.Map {
	t.Helper()
	if os.Geteuid() != 0 {
		labtest.Unmet(t, "needs root to make eBPF maps")
	}
	m, err := ebpf.NewMap(&ebpf.MapSpec{Type: ebpf.ProgramArray, KeySize: 4, ValueSize: 4, MaxEntries: 1})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { m.Close() })
	return m
}

func noNames(int64) []string { return nil }

// Code that the kernel would never take must neither be followed for ever nor
// be called harmless where it leads nowhere.
func TestOddCodeIsNotHarmless(t *testing.T) {
	loop := asm.Instruction{OpCode: asm.OpCode(asm.JumpClass).SetJumpOp(asm.Ja), Offset: -1}
	for name, code := range map[string]asm.Instructions{
		"none":              nil,
		"no end":            {asm.Mov.Imm(asm.R0, 2)},
		"only a loop":       {loop},
		"a jump far away":   {asm.Instruction{OpCode: asm.OpCode(asm.JumpClass).SetJumpOp(asm.Ja), Offset: 100}},
		"a kernel function": {asm.Instruction{OpCode: asm.OpCode(asm.JumpClass).SetJumpOp(asm.Call), Src: callKernel, Constant: 5}, asm.Mov.Imm(asm.R0, 2), asm.Return()},
		"a nameless helper": {asm.Instruction{OpCode: asm.OpCode(asm.JumpClass).SetJumpOp(asm.Call), Constant: 77777}, asm.Mov.Imm(asm.R0, 2), asm.Return()},
		"too much":          append(make(asm.Instructions, mostInstructions+1), asm.Return()),
	} {
		if j := judge(ebpf.XDP, code, noNames, false); j.Harmless {
			t.Errorf("%s: called harmless: %s", name, j.Why)
		}
	}
	if j := judge(ebpf.XDP, returning(2), noNames, true); j.Harmless {
		t.Error("harmless although another program may replace its functions")
	}
	if j := judge(ebpf.XDP, returning(2), noNames, false); !j.Harmless {
		t.Errorf("passing is not harmless: %s", j.Why)
	}
	if j := judge(ebpf.Kprobe, returning(0), noNames, false); j.Harmless {
		t.Error("a type that is not known by its code was called harmless")
	}
}

// Where two ways meet, what one of them knows does not count.
func TestWaysThatMeetForget(t *testing.T) {
	code := asm.Instructions{
		asm.Mov.Reg(asm.R3, asm.RFP),
		asm.JEq.Imm(asm.R1, 0, "meet"),
		asm.Mov.Reg(asm.R3, asm.R1),
		asm.StoreImm(asm.R3, -8, 1, asm.Word).WithSymbol("meet"),
		asm.Mov.Imm(asm.R0, 2),
		asm.Return(),
	}
	code[1].Offset = 1
	if j := judge(ebpf.XDP, code, noNames, false); j.Harmless {
		t.Error("a store through a pointer that may be the context was called harmless")
	}
}

func TestSymbols(t *testing.T) {
	text := "ffffffff81000000 T __bpf_call_base\nffffffff81000010 T bpf_redirect\nffffffff80fffff0 t __htab_map_lookup_elem\n" +
		"ffffffffc0000000 t bpf_map_lookup_elem\t[evil]\nffffffff81000020 D bpf_data\nnonsense\n"
	s := parseSymbols(strings.NewReader(text))
	if len(s[0x10]) != 1 || s[0x10][0] != "bpf_redirect" || s[-0x10][0] != "__htab_map_lookup_elem" || len(s) != 2 {
		t.Errorf("got %v", s)
	}
	if s := parseSymbols(strings.NewReader("0000000000000000 T __bpf_call_base\n0000000000000000 T bpf_redirect\n")); len(s) != 0 {
		t.Errorf("hidden addresses give %v", s)
	}
}

func TestHelpersThatActAreNotInert(t *testing.T) {
	for _, name := range []string{"bpf_redirect", "bpf_clone_redirect", "bpf_skb_store_bytes", "bpf_sk_assign", "bpf_sk_lookup_assign", "bpf_xdp_adjust_head",
		"bpf_l4_csum_replace", "bpf_xdp_redirect_map", "sock_map_lookup", "bpf_skb_change_type", "bpf_probe_write_user", "evil_map_lookup_elem", "bpf_setsockopt"} {
		if inert(name) {
			t.Errorf("%s is called harmless", name)
		}
	}
	for _, name := range []string{"__htab_map_lookup_elem", "htab_map_update_elem", "trie_lookup_elem", "bpf_map_lookup_elem", "htab_percpu_map_lookup_percpu_elem"} {
		if !inert(name) {
			t.Errorf("%s is not known", name)
		}
	}
}

// FuzzFollow feeds torn and nonsensical code.
func FuzzFollow(f *testing.F) {
	f.Add([]byte{0xb7, 0, 0, 0, 2, 0, 0, 0, 0x95, 0, 0, 0, 0, 0, 0, 0})
	f.Add([]byte{0x85, 0x10, 0, 0, 0xff, 0xff, 0xff, 0xff})
	f.Add([]byte{0x18, 0x11, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x7b, 0x1a, 0xf8, 0xff, 0, 0, 0, 0, 0x05, 0, 0xfe, 0xff, 0, 0, 0, 0})
	f.Fuzz(func(t *testing.T, code []byte) {
		p := Program{code: code}
		ins, err := p.instructions()
		if err != nil {
			return
		}
		judge(ebpf.XDP, ins, noNames, false)
	})
}
