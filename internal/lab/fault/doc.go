// Package fault runs a program under a tracer, for tests: it names every system
// call by which the program changes something outside itself, and makes a chosen
// one fail, or kills the program right before or right after it.
//
// A call is named by what it does to what (and the how manieth it is), not by
// its number in a thread: the Go scheduler puts calls in another order, and on
// other threads, every time. A seccomp filter stops only the calls that matter
// (SECCOMP_RET_TRACE, seccomp(2)), so that the rest runs at full speed, and
// ptrace(2) sees all threads and children, and a call after it took effect.
//
// It is of the tests: natwarden itself does not contain it.
package fault
