package xtables

import "unsafe"

// WithPointer writes the address of b, which must not move, into m.
func WithPointer(m []byte, at int, b []byte) []byte {
	kept = b
	*(*uintptr)(unsafe.Pointer(&m[at])) = uintptr(unsafe.Pointer(&b[0]))
	return m
}

// kept keeps the last pointed-to bytes alive.
var kept []byte
