package audit

import (
	"context"

	"github.com/natwarden/natwarden/internal/host"
)

// A Source reads one kind of thing in the network namespace of the calling
// thread, into its own fields of the space. It changes nothing on the host.
type Source interface {
	Name() string  // as in scope.sources: nf_tables, x_tables, sockets
	Group() string // as in --sources: rules, sockets
	Read(ctx context.Context, into *host.Space) (host.Reading, error)
}

// A Follower is a source that needs what the others found in the space
// (listeners, rules): it runs after them, one after another.
type Follower interface {
	Source
	Follows()
}

// Space is a network namespace to look at.
type Space struct {
	Label string // "" is the one in which natwarden was started
	UID   uint32 // owner of its user namespace
	Enter func(ctx context.Context, work func(context.Context) error) error
}

// A Join looks at what was read of all namespaces together, once: after the
// plain sources and before the followers.
type Join struct {
	Name string // of what it fails to read, in Blind
	Run  func(ctx context.Context, spaces []*host.Space) ([]host.Blind, error)
}

// Input is all that an audit needs.
type Input struct {
	Spaces  []Space
	Sources []Source
	Join    []Join
	Skipped []string // names of sources that --sources left out
	Blind   []host.Blind
	Doubts  []string // what could falsify the report, in words
	Scope   Scope    // Netns, PIDNamespace, Root; Sources is filled by Run
	Tool    Tool
	Host    Host
}
