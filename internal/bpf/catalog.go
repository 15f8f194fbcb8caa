package bpf

import (
	"context"
	"sync"

	"github.com/cilium/ebpf"
)

// Catalog reads and judges programs, each once, and finds who keeps them. One
// serves all namespaces of an audit: programs belong to none, and walking /proc for each would take long.
type Catalog struct {
	mu       sync.Mutex
	programs map[uint32]*Program
	judged   map[uint32]Judgement
	symbols  symbols
	read     bool // symbols were read
	keepers  *keepers
	freplace *bool
}

// NewCatalog makes an empty catalog; it reads nothing before it is asked.
func NewCatalog() *Catalog {
	return &Catalog{programs: map[uint32]*Program{}, judged: map[uint32]Judgement{}}
}

// program reads a program by its id.
func (c *Catalog) program(id uint32) (*Program, error) {
	if p, ok := c.programs[id]; ok {
		return p, nil
	}
	p, err := readProgram(id)
	if err == nil {
		c.programs[id] = p
	}
	return p, err
}

// judgement says whether a program's code can redirect or rewrite.
func (c *Catalog) judgement(ctx context.Context, p *Program) Judgement {
	j, ok := c.judged[p.ID]
	if !ok {
		j = c.judge(ctx, p)
		c.judged[p.ID] = j
	}
	return j
}

func (c *Catalog) judge(ctx context.Context, p *Program) Judgement {
	code, err := p.instructions()
	if err != nil {
		return Judgement{Why: "its code cannot be read: " + err.Error()}
	}
	return judge(p.Type, code, c.names, c.replacing(ctx))
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
func (c *Catalog) replacing(ctx context.Context) bool {
	if c.freplace == nil {
		types, err := programTypes(ctx)
		found := err != nil || types[ebpf.Extension] > 0
		c.freplace = &found
	}
	return *c.freplace
}

// kept says who keeps programs and links.
func (c *Catalog) kept(ctx context.Context) *keepers {
	if c.keepers == nil {
		c.keepers = findKeepers(ctx)
	}
	return c.keepers
}
