// Package relay finds processes that answer for others: they accept a
// connection and open one elsewhere. Known programs are read from their live
// configuration (arguments, and the file they were started with), unknown ones are
// known by what they do (an accepted connection, and one of their own with the same byte counts).
//
// It opens the configuration files of processes in the process's own root,
// reads at most a MiB of them, never quotes them, and changes nothing.
//
// Files: source.go makes rows; program.go reads a process; open.go opens its
// files; known.go says which programs are known, one file each reads them
// (haproxy.go, nginx.go, …); busy.go looks at connections.
package relay
