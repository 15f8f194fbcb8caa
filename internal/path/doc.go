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
// Whole classes of packets are followed the same way: one packet of the class
// goes its way, and each test on it leaves in its cell the packets of which the
// test says the same. So one engine decides of both, and what it says of a cell
// is true of each packet in it.
//
// Files: packet.go is what is asked and answered, engine.go what is the same
// for all packets of a namespace, state.go the packet under way, hooks.go the
// order of base chains, chain.go rules and verdicts, match.go and computed.go the
// three-valued tests, translate.go what rules do to packets, way.go the way
// between the hooks, socket.go who listens, beyond.go the next namespace. Of
// classes: class.go and explore.go what is asked and answered, cell.go and
// narrow.go what a test leaves of a cell, become.go what a translation and a
// route make of it, ifkinds.go interfaces that nothing tells apart, index.go the
// rules of a long chain that may take a packet.
package path
