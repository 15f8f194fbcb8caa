package bpf

import (
	"context"

	"github.com/cilium/ebpf"
)

// Catalog reads and judges programs, each once, and finds who keeps them. It
// is for one goroutine.
type Catalog struct {
	ctx      context.Context
	programs map[uint32]*Program
	judged   map[uint32]Judgement
	symbols  symbols
	read     bool // symbols were read
	keepers  *keepers
	freplace *bool
}

// NewCatalog makes an empty catalog; it reads nothing before it is asked.
func NewCatalog(ctx context.Context) *Catalog {
	return &Catalog{ctx: ctx, programs: map[uint32]*Program{}, judged: map[uint32]Judgement{}}
}

// Program reads a program by its id.
func (c *Catalog) Program(id uint32) (*Program, error) {
	if p, ok := c.programs[id]; ok {
		return p, nil
	}
	p, err := readProgram(id)
	if err == nil {
		c.programs[id] = p
	}
	return p, err
}

// Judge says whether a program's code can redirect or rewrite.
func (c *Catalog) Judge(p *Program) Judgement {
	j, ok := c.judged[p.ID]
	if !ok {
		j = c.judge(p)
		c.judged[p.ID] = j
	}
	return j
}

func (c *Catalog) judge(p *Program) Judgement {
	code, err := p.info.Instructions()
	if err != nil {
		return Judgement{Why: "its code cannot be read: " + err.Error()}
	}
	return judge(p.Type, code, c.names, c.replacing())
}

// names gives the kernel's names of a helper.
func (c *Catalog) names(address int64) []string {
	if !c.read {
		c.symbols, c.read = readSymbols(), true
	}
	return c.symbols[address]
}

// replacing says whether a program that replaces functions of others is loaded;
// also where that cannot be found out.
func (c *Catalog) replacing() bool {
	if c.freplace == nil {
		types, err := programTypes(c.ctx)
		found := err != nil || types[ebpf.Extension] > 0
		c.freplace = &found
	}
	return *c.freplace
}

// kept says who keeps programs and links.
func (c *Catalog) kept() *keepers {
	if c.keepers == nil {
		c.keepers = findKeepers(c.ctx)
	}
	return c.keepers
}
