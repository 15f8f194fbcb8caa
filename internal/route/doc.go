// Package route reads how a network namespace routes and resolves: addresses,
// routes of every table, policy rules, proxy neighbours and the sysctls that
// let them act, and finds where they make this host answer for another.
//
// Files: read.go dumps rtnetlink and changes nothing; local.go, policy.go and
// neighbour.go find redirects; sysctl.go reads what makes them possible.
package route
