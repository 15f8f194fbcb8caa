// Package rollback keeps what it takes to undo a change: the state directory,
// its lock, content-addressed snapshots and the journal of each change.
//
// It touches files only. The steps are carried out and inverted by package
// remediate through the editors. natwarden is a program, not a library: the
// package serves cmd/natwarden and promises nothing to others.
package rollback
