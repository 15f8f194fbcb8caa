// Package trial holds no code: its tests put the whole program on trial, in
// namespaces of its own. Every changing system call fails in turn (faults),
// another process rewrites the rules meanwhile (churn), random rule sets are
// taken apart and put back (random). It is of natwarden, and no library.
package trial
