package xtables

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
)

// Limits of a save file. iptables-restore itself takes lines of 10,240 bytes.
const (
	maxLine  = 64 << 10
	maxRules = 2_000_000
)

// Save is a file in the format of iptables-save.
type Save struct {
	Name   string
	Tables []*SaveTable
}

// SaveTable is what stands between *TABLE and COMMIT.
type SaveTable struct {
	Name   string
	Line   int
	Chains []SaveChain
	Rules  []SaveRule
}

// SaveChain is a line ":CHAIN POLICY [packets:bytes]".
type SaveChain struct {
	Name     string
	Policy   string // ACCEPT or DROP; "" for a chain of the user ("-")
	Counters *Counters
	Line     int
}

// SaveRule is a line with a command, usually -A.
type SaveRule struct {
	Line     int
	Counters *Counters
	// Command is the long name of what is done with Chain: append, insert,
	// delete, replace, new-chain, flush, delete-chain, policy, rename-chain, zero.
	Command string
	Chain   string
	// Words are what follows the chain, unquoted, and Columns where each starts.
	Words   []Word
	Text    string // the line without counters
	Version int    // 4 or 6 where the line begins with -4 or -6
}

// Word is one word of a line.
type Word struct {
	Text   string
	Column int // of its first byte, from 1
	Quoted bool
}

// SyntaxError says what is wrong where in a save file.
type SyntaxError struct {
	Name         string
	Line, Column int
	What         string
}

// Error is "FILE:LINE:COLUMN: what".
func (e *SyntaxError) Error() string {
	return fmt.Sprintf("%s:%d:%d: %s", e.Name, e.Line, e.Column, e.What)
}

// ParseSave reads a file in the format of iptables-save as iptables-restore
// does. It is strict: what it does not know is a SyntaxError that says where.
// Name is for errors only.
func ParseSave(r io.Reader, name string) (*Save, error) {
	p := &saveParser{save: &Save{Name: name}}
	in := bufio.NewScanner(r)
	in.Buffer(make([]byte, 0, 4096), maxLine)
	for in.Scan() {
		p.line++
		if err := p.one(in.Text()); err != nil {
			return nil, err
		}
	}
	if err := in.Err(); errors.Is(err, bufio.ErrTooLong) {
		p.line++
		return nil, p.wrong(1, fmt.Sprintf("line of more than %d bytes", maxLine))
	} else if err != nil {
		return nil, fmt.Errorf("reading %s: %w", name, err)
	}
	if p.table != nil {
		return nil, p.wrong(1, fmt.Sprintf("table %s of line %d has no COMMIT", p.table.Name, p.table.Line))
	}
	return p.save, nil
}

type saveParser struct {
	save  *Save
	table *SaveTable // the one that is open
	line  int
	rules int
}

func (p *saveParser) wrong(column int, what string) error {
	return &SyntaxError{p.save.Name, p.line, column, what}
}

// one reads one line.
func (p *saveParser) one(text string) error {
	text = strings.TrimRight(text, " \t\r")
	if i := strings.IndexByte(text, 0); i >= 0 {
		return p.wrong(i+1, "a NUL byte")
	}
	switch {
	case text == "" || text[0] == '#':
		return nil
	case text[0] == '*':
		return p.open(text)
	case p.table == nil:
		return p.wrong(1, fmt.Sprintf("%.20q stands outside any table: want *TABLE first", text))
	case text == "COMMIT":
		p.save.Tables = append(p.save.Tables, p.table)
		p.table = nil
		return nil
	case text[0] == ':':
		return p.chain(text)
	}
	return p.rule(text)
}

func (p *saveParser) open(text string) error {
	name := strings.TrimSpace(text[1:])
	switch {
	case p.table != nil:
		return p.wrong(1, fmt.Sprintf("table %s of line %d has no COMMIT before the next", p.table.Name, p.table.Line))
	case name == "" || len(name) >= tableName || strings.ContainsAny(name, " \t"):
		return p.wrong(2, fmt.Sprintf("%.40q is no table name", name))
	}
	p.table = &SaveTable{Name: name, Line: p.line}
	return nil
}

// chain reads ":CHAIN POLICY [packets:bytes]".
func (p *saveParser) chain(text string) error {
	words, err := p.split(text, 1)
	if err != nil {
		return err
	}
	if len(words) < 2 || len(words) > 3 {
		return p.wrong(1, "want :CHAIN POLICY [packets:bytes]")
	}
	c := SaveChain{Name: words[0].Text, Line: p.line}
	if c.Name == "" || len(c.Name) >= extName {
		return p.wrong(words[0].Column, fmt.Sprintf("%.40q is no chain name: want 1 to %d bytes", c.Name, extName-1))
	}
	switch policy := words[1].Text; policy {
	case "ACCEPT", "DROP", "QUEUE":
		c.Policy = policy
	case "-":
	default:
		return p.wrong(words[1].Column, fmt.Sprintf("%.20q is no policy: want ACCEPT, DROP or -", policy))
	}
	if len(words) == 3 {
		if c.Counters, err = p.counters(words[2].Text, words[2].Column); err != nil {
			return err
		}
	}
	p.table.Chains = append(p.table.Chains, c)
	return nil
}

// counters reads "[packets:bytes]".
func (p *saveParser) counters(text string, column int) (*Counters, error) {
	inner, ok := strings.CutPrefix(text, "[")
	inner, closed := strings.CutSuffix(inner, "]")
	packets, bytes, colon := strings.Cut(inner, ":")
	n, err := strconv.ParseUint(packets, 10, 64)
	m, err2 := strconv.ParseUint(bytes, 10, 64)
	if !ok || !closed || !colon || err != nil || err2 != nil {
		return nil, p.wrong(column, fmt.Sprintf("%.40q are no counters: want [packets:bytes]", text))
	}
	return &Counters{n, m}, nil
}
