// Package tether finds the connections that a change of the host must not cut:
// those by which whoever called natwarden is there (ssh, mosh, telnet, through
// sslh, haproxy or a reverse tunnel), those of the agents that manage the host,
// and those by which it reads its files and disks from elsewhere.
//
// It judges nothing: remediate holds a plan against what it finds. It reads
// /proc and /sys only. natwarden is a program, not a library.
//
// Files: find.go is what is asked, caller.go the processes above natwarden,
// session.go what ssh says of itself, carrier.go programs of this host through
// which a session comes, agent.go the agents, mount.go file servers, disk.go disks and
// connections of the kernel, sockets.go the sockets, process.go what processes hold.
package tether
