// Package sock reads the sockets of a network namespace that answer: TCP,
// SCTP and MPTCP sockets that listen, UDP and UDP-Lite sockets that are bound
// and not connected. It says where they answer, not who holds them: that is
// package proc.
//
// Files: kinds.go says what is asked for, diag.go and decode.go ask the kernel's
// sock_diag, registered.go says which protocols there are at all, procnet.go reads
// /proc/net where sock_diag cannot be asked, or not without loading a module;
// packet.go lists packet sockets, queues.go who reads netfilter queues.
//
// Nothing here is changed and nothing is bound. natwarden is a program, not a
// library.
package sock
