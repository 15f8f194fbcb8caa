package main

import (
	"io"
	"strconv"
	"unicode/utf8"
)

// encoder appends JSON (RFC 8259) to a buffer and hands it on in large pieces.
// The first failed write is kept; what follows is dropped.
type encoder struct {
	w   io.Writer
	b   []byte
	err error
}

func (e *encoder) flush() {
	if e.err == nil {
		_, e.err = e.w.Write(e.b)
	}
	e.b = e.b[:0]
}

func (e *encoder) open(bracket byte)  { e.b = append(e.b, bracket) }
func (e *encoder) close(bracket byte) { e.b = append(e.b, bracket) }

// comma parts members: none stands after an opening bracket.
func (e *encoder) comma() {
	if n := len(e.b); n > 0 && (e.b[n-1] == '{' || e.b[n-1] == '[') {
		return
	}
	e.b = append(e.b, ',')
}

// key begins a member of an object. Keys are natwarden's own and plain.
func (e *encoder) key(key string) {
	e.comma()
	e.b = append(e.b, '"')
	e.b = append(e.b, key...)
	e.b = append(e.b, '"', ':')
}

func (e *encoder) str(key, value string) {
	e.key(key)
	e.b = appendString(e.b, value)
}

func (e *encoder) num(key string, value int64) {
	e.key(key)
	e.b = strconv.AppendInt(e.b, value, 10)
}

func (e *encoder) unum(key string, value uint64) {
	e.key(key)
	e.b = strconv.AppendUint(e.b, value, 10)
}

func (e *encoder) bool(key string, value bool) {
	e.key(key)
	e.b = strconv.AppendBool(e.b, value)
}

func (e *encoder) strs(key string, values []string) {
	e.key(key)
	e.list(values)
}

// list writes strings; none is [], never null.
func (e *encoder) list(values []string) {
	e.b = append(e.b, '[')
	for i, v := range values {
		if i > 0 {
			e.b = append(e.b, ',')
		}
		e.b = appendString(e.b, v)
	}
	e.b = append(e.b, ']')
}

// nested writes an object where there is one, and no member where not.
func (e *encoder) nested(key string, there bool, fill func()) {
	if !there {
		return
	}
	e.key(key)
	e.open('{')
	fill()
	e.close('}')
}

// small writes a value by reflection.
func (e *encoder) small(key string, v any) {
	data, err := marshal(v)
	if err != nil && e.err == nil {
		e.err = err
	}
	e.key(key)
	e.b = append(e.b, data...)
}

const hex = "0123456789abcdef"

// appendString writes a JSON string. What a terminal would act on (control
// characters, direction overrides, invisible ones: see clean) is written as \u
// escapes, so that a report is safe to look at and decodes to what was read.
func appendString(b []byte, s string) []byte {
	b = append(b, '"')
	start := 0
	for i := 0; i < len(s); {
		c := s[i]
		if c >= ' ' && c <= '~' && c != '"' && c != '\\' {
			i++
			continue
		}
		b = append(b, s[start:i]...)
		if c < utf8.RuneSelf {
			b = appendEscaped(b, c)
			i++
		} else {
			r, size := utf8.DecodeRuneInString(s[i:])
			b = appendRune(b, r)
			i += size
		}
		start = i
	}
	return append(append(b, s[start:]...), '"')
}

func appendEscaped(b []byte, c byte) []byte {
	switch c {
	case '"', '\\':
		return append(b, '\\', c)
	case '\n':
		return append(b, '\\', 'n')
	case '\t':
		return append(b, '\\', 't')
	case '\r':
		return append(b, '\\', 'r')
	}
	return append(b, '\\', 'u', '0', '0', hex[c>>4], hex[c&15])
}

// appendRune writes a character beyond ASCII. Bytes that are no UTF-8 become
// U+FFFD, as encoding/json writes them: JSON has no way to carry them.
func appendRune(b []byte, r rune) []byte {
	switch {
	case strconv.IsPrint(r):
		return utf8.AppendRune(b, r)
	case r > 0xffff:
		r -= 0x10000
		return appendUnit(appendUnit(b, 0xd800+r>>10), 0xdc00+r&0x3ff)
	}
	return appendUnit(b, r)
}

func appendUnit(b []byte, r rune) []byte {
	return append(b, '\\', 'u', hex[r>>12&15], hex[r>>8&15], hex[r>>4&15], hex[r&15])
}

// tame writes the characters of finished JSON that a terminal would act on as
// escapes. They stand inside strings only, where an escape means the same.
func tame(data []byte) []byte {
	out := make([]byte, 0, len(data))
	for len(data) > 0 {
		r, size := utf8.DecodeRune(data)
		switch {
		case r == 0x7f:
			out = appendUnit(out, r)
		case size == 1:
			out = append(out, data[0])
		default:
			out = appendRune(out, r)
		}
		data = data[size:]
	}
	return out
}
