// Package proc says who holds a socket: it walks /proc/*/fd once for all
// sockets of all network namespaces and describes each process that it finds.
//
// Files: held.go walks, describe.go and exe.go describe, cgroup.go reads units
// and containers, mask.go hides secrets among arguments, attach.go gives
// listeners their processes, id.go their lasting names.
//
// What a process says of itself (name, arguments) is data and proves nothing;
// what the kernel and root say (file of the program, system unit) is kept apart.
// natwarden is a program, not a library.
package proc
