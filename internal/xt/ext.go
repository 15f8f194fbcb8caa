package xt

import (
	"time"

	"github.com/natwarden/natwarden/internal/host"
	"github.com/natwarden/natwarden/internal/ipset"
)

// Ext is one match or target of a rule.
type Ext struct {
	Family   host.Family // of the table: IP, IP6, Bridge, ARP
	Name     string
	Revision uint8
	Info     []byte // the payload of xt_entry_match, or NFTA_MATCH_INFO; padding may follow
}

// Env is what decoding needs to know about the host.
type Env struct {
	Sets Sets // nil: ipsets cannot be resolved
	Now  time.Time
	// Texts asks the decoders of rules for the text of every rule, not only of those
	// that have an effect.
	Texts bool
}

// Sets gives ipsets by the index that the kernel writes into rules.
type Sets interface {
	ByIndex(index uint16) (ipset.Set, bool)
}

// Result is what a target does.
type Result struct {
	Verdict host.Verdict
	Effects []host.Effect
	Assigns []host.Assign
	Fills   []string // the ipsets, as rules write them, to which it adds packets' addresses
	Text    string   // as iptables-save prints it: "-j DNAT --to-destination 10.0.0.1:80"
}

// decode is one match: the alternatives and the option text.
type decode func(d *data) ([]host.Match, string)

// Match decodes a match. The alternatives are alternatives (or), each to be
// joined (and) with the rest of the rule; nil narrows nothing. The text is the
// option text of iptables-save ("-m tcp --dport 80"). Where ok is false the
// match was not understood: alts is nil and the text names it.
func Match(e Ext, env Env) (alts []host.Match, text string, ok bool) {
	d := newData(e, env)
	do := matchDecoder(e)
	if do == nil {
		return nil, "-m " + quote(e.Name) + " (not understood)", false
	}
	alts, text = do(d)
	if d.bad {
		return nil, "-m " + quote(e.Name) + " (not understood)", false
	}
	return alts, text, true
}

func matchDecoder(e Ext) decode {
	if e.Family == host.Bridge {
		return bridgeMatch(e.Name)
	}
	for _, find := range []func(string) decode{portMatch, addressMatch, flowMatch, packetMatch, headerMatch, hostMatch} {
		if do := find(e.Name); do != nil {
			return do
		}
	}
	return undecodedMatch(e.Name)
}

// act is one target.
type act func(d *data) Result

// Target decodes a target other than the standard verdicts. Where ok is false
// it was not understood: the rule is opaque, its verdict uncertain.
func Target(e Ext, env Env) (r Result, ok bool) {
	d := newData(e, env)
	do := targetDecoder(e)
	if do != nil {
		r = do(d)
	}
	if do == nil || d.bad {
		return Result{Verdict: host.Uncertain, Text: "-j " + quote(e.Name) + " (not understood)"}, false
	}
	return r, true
}

func targetDecoder(e Ext) act {
	if e.Family == host.Bridge {
		if do := bridgeTarget(e.Name); do != nil {
			return do
		}
	}
	if e.Family == host.ARP && e.Name == "mangle" {
		return arpMangle
	}
	for _, find := range []func(string) act{natTarget, divertTarget, markTarget, changeTarget, endTarget, logTarget} {
		if do := find(e.Name); do != nil {
			return do
		}
	}
	return nil
}
