package xtables

import (
	"maps"
	"runtime"
	"sync"

	"github.com/natwarden/natwarden/internal/host"
)

// minShare is how many rules are worth a goroutine of their own.
const minShare = 2000

// inShares decodes the rules of a chain, a long one on several processors:
// no rule needs another.
func (d *decoder) inShares(rules []host.Rule, c Chain) {
	shares := min(runtime.GOMAXPROCS(0), len(rules)/minShare+1)
	helpers := make([]*decoder, shares)
	var all sync.WaitGroup
	for n := range shares {
		h := newDecoder(d.dump, d.t, d.env)
		h.starts, helpers[n] = d.starts, h
		lo, hi := n*len(rules)/shares, (n+1)*len(rules)/shares
		all.Go(func() {
			for k := lo; k < hi; k++ {
				h.rule(&rules[k], c.Name, c.First+k)
			}
		})
	}
	all.Wait()
	for _, h := range helpers {
		d.blind = append(d.blind, h.blind...)
		maps.Copy(d.out.Filled, h.out.Filled)
	}
}
