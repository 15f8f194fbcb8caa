// Package host is the model of what natwarden knows about a server: sets of
// protocols, ports and addresses, rules as branches, the redirects and
// listeners that follow from them, and what could not be read (Blind).
//
// It imports nothing else of natwarden and touches nothing: no kernel, no
// file, no process. natwarden is a program, not a library; the package is
// internal on purpose.
package host
