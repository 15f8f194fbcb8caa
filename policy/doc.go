// Package policy is the allowlist: which redirects and listeners of a server
// are authorized, why, by whom and until when.
//
// It reads the policy file strictly (every error at once, with its place),
// judges rows of the model against it (pure: no kernel, no clock but the one
// that is passed in), writes a first policy from today's state (Init), tells
// what in a policy wants a hand (Lint) and describes the file as JSON Schema.
// It does not read the host and does not print. Only Load touches a file.
//
// An entry allows a row only where all that the row does lies inside the
// entry: sets are compared by containment, and what is not known is never
// inside anything that restricts it.
//
// natwarden is a program, not a library: this package serves its commands and
// promises no compatibility to other importers.
package policy
