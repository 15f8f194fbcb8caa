// Package audit asks every source what the host does, judges it by the policy
// and makes the report: who answers on each port, and whether that is
// authorized. It changes nothing and has no import path to anything that could.
//
// natwarden is a program, not a library: the package serves cmd/natwarden.
package audit
