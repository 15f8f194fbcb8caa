// Package remediate ends what no policy allows: it chooses the smallest remedy
// for each redirect, proves that it can be taken back, carries it out in one
// transaction for each network namespace and subsystem, verifies the rest of the
// host, and undoes everything where something is not as planned.
//
// It reads and changes the kernel only through the change.Editor values that it
// is given. It judges nothing: the rows come with their verdicts. natwarden is a
// program, not a library: the package serves cmd/natwarden and promises nothing
// to others.
package remediate
