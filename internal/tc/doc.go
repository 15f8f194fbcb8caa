// Package tc reads the traffic control filters of a network namespace (the
// ingress and clsact qdiscs, shared blocks, filters of classful qdiscs) and finds those that
// hand packets to another device, or to an eBPF program.
//
// Files: dump.go asks rtnetlink, filter.go and action.go decode, u32.go, key.go,
// basic.go and flower.go say what a classifier takes, rows.go says it in rows,
// export.go and lasting.go serve the editor. Reading changes nothing. What a filter does that
// is not judged here (nat, pedit, …) is blind, never skipped.
package tc
