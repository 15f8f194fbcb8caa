package host

// Redirect is one way in which the host answers for another, or hands traffic
// on: a row of the report. Field names and values are those of the contract
// (docs/json.md).
type Redirect struct {
	ID         string   `json:"id"`
	Mechanism  string   `json:"mechanism"`
	Kind       string   `json:"kind"`
	State      string   `json:"state"`
	Why        []string `json:"why"`
	Direction  string   `json:"direction"`
	Netns      string   `json:"netns"`
	NetnsUID   uint32   `json:"netns_uid"`
	Family     Family   `json:"family"`
	Proto      string   `json:"proto"`
	Ports      string   `json:"ports"`
	Address    string   `json:"address"`
	Source     string   `json:"source"`
	Conditions []string `json:"conditions"`
	To         []string `json:"to"`
	Rule       *RuleRef `json:"rule,omitempty"`
	File       *FileRef `json:"file,omitempty"`
	Process    *Process `json:"process,omitempty"`
	Owner      *Owner   `json:"owner,omitempty"`
	Evidence   []string `json:"evidence"`
	Verdict    string   `json:"verdict"`
	AllowedBy  string   `json:"allowed_by"`
	Advice     string   `json:"advice"`

	// Match and Targets are the sets behind the words, for judging; nil Match is
	// a redirect whose extent is only known in words.
	Match   *Match   `json:"-"`
	Targets []Target `json:"-"`
	// Tag and Pin name an eBPF program: the kernel's hash of its instructions and
	// the path in bpffs that it is pinned to; "" where there is none.
	Tag string `json:"-"`
	Pin string `json:"-"`
	// Info is true of what is only ever information (source NAT, dup, mirrors).
	Info bool `json:"-"`
	// Content is what tells rows of one kind apart besides their extent (a
	// program's tag, a route in words); it goes into ID.
	Content string `json:"-"`
	// Effect is what of a rule makes the row; nil of other mechanisms.
	Effect *Effect `json:"-"`
	// Behind are the ids of the redirects that take all of its packets before it,
	// where it would act as soon as they are gone.
	Behind []string `json:"-"`
	// Ref finds the object again to remove it; nil where there is nothing to remove.
	Ref *Ref `json:"-"`
}

// The states of a redirect, as the contract defines them.
const (
	Active   = "active"
	Latent   = "latent"
	Inactive = "inactive"
	Saved    = "saved"
	Unknown  = "unknown"
)

// The verdicts of a redirect or listener.
const (
	Allowed    = "allowed"
	Violation  = "violation"
	Info       = "info"
	Unreviewed = "unreviewed"
)

// RuleRef says which rule a redirect is.
type RuleRef struct {
	Backend  string     `json:"backend"`
	Writer   string     `json:"writer"`
	Family   Family     `json:"family"`
	Table    string     `json:"table"`
	Chain    string     `json:"chain"`
	Hook     string     `json:"hook"`
	Priority int        `json:"priority"`
	Paths    [][]string `json:"paths"`
	Handle   uint64     `json:"handle"`
	Index    int        `json:"index"`
	Element  string     `json:"element"`
	Comment  string     `json:"comment"`
	Text     string     `json:"text"`
	Devices  []string   `json:"devices,omitempty"`

	// Hooks are those of all ways to the rule; Hook is that of the first.
	Hooks []string `json:"-"`
}

// Ref finds an object of the kernel again. It is filled by whoever read it and
// understood only by the editor of the same subsystem.
type Ref struct {
	Netns       string `json:"netns"`
	Backend     string `json:"backend"` // nf_tables or x_tables
	Family      Family `json:"family"`
	Table       string `json:"table"`
	Chain       string `json:"chain"`
	Handle      uint64 `json:"handle"`
	Index       int    `json:"index"` // place in the chain, from 1
	Fingerprint string `json:"fingerprint"`
	Set         string `json:"set,omitempty"` // an element of this set or map of the rule
	Anonymous   bool   `json:"anonymous,omitempty"`
	Key         []byte `json:"key,omitempty"`  // Element.Raw; of other backends the object as dumped
	Text        string `json:"text,omitempty"` // of backends without rules: the object in words
}

// FileRef is a place in a file.
type FileRef struct {
	Path string `json:"path"`
	Line int    `json:"line"`
}

// Owner says who manages a rule, and how that is known.
type Owner struct {
	Kind     string `json:"kind"`
	Name     string `json:"name"`
	Evidence string `json:"evidence"`
}
