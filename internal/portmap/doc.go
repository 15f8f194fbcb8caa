// Package portmap says who answers on every port of one network namespace, and
// which redirects a packet reaches. It parts the packets that a redirect or a
// listener is about into cells, each of which package path follows as a whole,
// so that what stands here is what explain says of each single packet.
//
// It says nothing of packets that no redirect takes and that no socket of this
// host is there for. What was not looked at, because there are too many
// cells, stays a redirect's with that said; it is never left out.
//
// It reads nothing and judges nothing. natwarden is a program, not a library.
//
// Files: boxes.go makes classes of rows, explore.go follows them, purse.go bounds
// the work, reach.go says which rows act, parts.go and merge.go make few parts of
// many cells, lines.go and listeners.go write them down, words.go the conditions.
package portmap
