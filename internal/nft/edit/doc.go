// Package edit changes nf_tables, and can take every change back: it makes
// steps for rules and set elements, proves them in the kernel's check mode,
// and sends them as one batch that the kernel takes whole or not at all.
//
// It works on raw attributes as the kernel dumps them, so that what is put back
// is the same to the byte; it never writes a rule anew from what it understood
// of it. It decides nothing about which rules are to go: that is remediate's.
package edit
