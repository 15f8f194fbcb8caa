// Package walk follows the way of packets through the chains of one network
// namespace: which rules a hook reaches, by which jumps and under which
// conditions, and so which redirects act, wait, or never can.
//
// It judges nothing and reads nothing: its input are decoded tables, its
// output rows of the report. When in doubt a redirect is active: "inactive" is
// said only with its proof.
//
// Files: ways.go finds how hooks reach chains, shadow.go what earlier rules
// keep from later ones, extent.go what a rule takes on its ways, state.go
// whether it acts, rows.go makes the rows.
package walk
