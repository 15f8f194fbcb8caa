// Package relay finds processes that answer for others: they accept a
// connection and open one elsewhere. Known programs are read from their live
// configuration (arguments, and the file they were started with), unknown ones are
// known by what they do (an accepted connection, and one of their own with the same byte counts).
//
// It opens the configuration files of processes in the process's own root and
// with the process's own rights, only regular files, reads at most a MiB of
// each, never quotes them, and changes nothing. A program that exists to pass on and
// whose destination cannot be found is unknown, never silent.
//
// Files: source.go asks for each listener, write.go makes rows of what is found,
// chain.go follows destinations on this host; program.go, elder.go and changed.go say
// what a process is, open.go, itself.go and glob.go read its files; known.go says which
// programs are known, and files named after them read them; command.go reads commands
// that are run for each connection; busy.go, kinship.go, unixpeers.go and connections.go look at
// what processes are connected to, observe.go does so for a while, observe_udp.go for UDP.
//
// natwarden is a program, not a library.
package relay
