// Package path follows one packet through a network namespace, as the kernel
// would: hooks by priority, chains, translations, the routing decision and the
// socket at the end. It says who answers, and which rules decided that.
//
// What it cannot decide (a limit, a string match, an expression that is not
// known) splits the way: both ways are followed, each with its condition in
// words. So an answer is certain or it is one of several; it is never a guess.
//
// It reads nothing: its input are decoded tables, listeners and somebody who
// knows the routes. natwarden is a program, not a library.
//
// Files: packet.go is what is asked and answered, state.go the packet under
// way, hooks.go the order of base chains, chain.go rules and verdicts, match.go
// and computed.go the three-valued tests, translate.go what rules do to
// packets, way.go the way between the hooks, socket.go who listens.
package path
