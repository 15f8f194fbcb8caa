// Package smoke asks what a policy expects to answer: a TCP connection, a web
// page, a name server, a program. It says of each why it failed, in words.
//
// It asks from the network namespace in which natwarden was started. Proxies,
// search domains and whatever else an environment could say are not heeded. It
// judges nothing, and changes nothing but what the programs that it is told to run change.
//
// natwarden is a program, not a library.
package smoke
