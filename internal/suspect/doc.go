// Package suspect looks at the sockets of all network namespaces together and
// says which are not what they seem: listeners that no process holds, ports
// that different programs share, packet sockets that answer where the kernel
// keeps silent, readers of netfilter queues.
//
// Files: join.go is the order of the looks, ownerless.go the listeners without
// a process, kernel.go those that are the kernel's own, parked.go where a socket
// can be that no process has open, packets.go and filter.go the packet sockets,
// notes.go what is said about listeners.
//
// It reads and judges nothing by policy: it adds rows and notes. natwarden is a
// program, not a library.
package suspect
