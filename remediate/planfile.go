package remediate

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"reflect"
	"slices"

	"github.com/natwarden/natwarden/internal/change"
	"github.com/natwarden/natwarden/rollback"
)

const (
	planFileForm = 1
	planFileKind = "natwarden-plan"
	// PlanFileLimit is the largest plan file that is read, in bytes.
	PlanFileLimit = 256 << 20
)

// PlanFile is a plan that others can review before it is carried out: what is
// done is exactly this, or nothing.
type PlanFile struct {
	SchemaVersion int             `json:"schema_version"`
	Kind          string          `json:"kind"` // natwarden-plan
	Origin        rollback.Origin `json:"origin"`
	Policy        string          `json:"policy_sha256"` // "" for the built-in one
	// Scope, Include and Irreversible are the flags with which it was made.
	Scope        []string `json:"netns"`
	Include      []string `json:"include"`
	Irreversible bool     `json:"irreversible"`
	// Steps are for the eye; they are refused where they do not say what Groups do.
	Steps  []Step           `json:"steps"`
	Groups []rollback.Group `json:"groups"`
}

// PlanFile makes the file of the plan that a dry run made; nil where there is
// nothing to do or the plan is refused.
func (r *Result) PlanFile(o Options, policySHA256 string, scope []string) (*PlanFile, error) {
	if r.plan == nil || r.plan.refused || len(r.plan.groups) == 0 {
		return nil, nil
	}
	var ids []rollback.Netns
	for _, s := range r.plan.spaces() {
		id, err := s.identity()
		if err != nil {
			return nil, err
		}
		ids = append(ids, id)
	}
	origin, err := rollback.Here(o.Version, o.withDefaults().Now(), ids)
	if err != nil {
		return nil, err
	}
	f := &PlanFile{SchemaVersion: planFileForm, Kind: planFileKind, Origin: origin, Policy: policySHA256, Scope: append([]string{}, scope...),
		Include: append([]string{}, o.Include...), Irreversible: o.Irreversible, Groups: r.plan.record("", "", origin).Groups}
	f.Steps = f.shown()
	return f, nil
}

// shown are the groups' steps in words.
func (f *PlanFile) shown() []Step {
	out := []Step{}
	for _, g := range f.Groups {
		out = append(out, describeAll(g.Steps)...)
	}
	return out
}

// Marshal writes the file, in the one form in which it is read again.
func (f *PlanFile) Marshal() ([]byte, error) {
	data, err := f.encode()
	if err != nil {
		return nil, err
	}
	// Once there and back: what JSON cannot hold (bytes of a comment that are no
	// UTF-8) is then written as it is read.
	back, err := decodePlanFile(data)
	if err == nil {
		data, err = back.encode()
	}
	if err == nil {
		_, err = ParsePlanFile(data)
	}
	if err != nil {
		return nil, fmt.Errorf("the plan cannot be read back: %w", err)
	}
	return data, nil
}

func (f *PlanFile) encode() ([]byte, error) {
	data, err := json.MarshalIndent(f, "", " ")
	if err != nil {
		return nil, fmt.Errorf("writing the plan: %w", err)
	}
	return append(data, '\n'), nil
}

func decodePlanFile(data []byte) (*PlanFile, error) {
	var f PlanFile
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&f); err != nil {
		return nil, err
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return nil, errors.New("something stands behind the plan")
	}
	return &f, nil
}

// ParsePlanFile reads a plan file strictly.
func ParsePlanFile(data []byte) (*PlanFile, error) {
	f, err := decodePlanFile(data)
	if err != nil {
		return nil, err
	}
	if f.Kind != planFileKind || f.SchemaVersion != planFileForm {
		return nil, fmt.Errorf("it is %q of form %d, not %q of form %d", f.Kind, f.SchemaVersion, planFileKind, planFileForm)
	}
	if len(f.Groups) == 0 {
		return nil, errors.New("it has no steps")
	}
	for i, g := range f.Groups {
		if err := g.Check(); err != nil {
			return nil, fmt.Errorf("group %d: %w", i, err)
		}
	}
	if err := f.checkShown(); err != nil {
		return nil, err
	}
	return f, f.checkForm(data)
}

// checkForm refuses a file that is not byte for byte as natwarden writes it. JSON
// lets a key stand twice, and this library takes "GROUPS" for "groups": those who review and sign
// a file with another program would then not see what is done.
func (f *PlanFile) checkForm(data []byte) error {
	want, err := f.encode()
	if err != nil || bytes.Equal(data, want) {
		return err
	}
	i := 0
	for i < min(len(data), len(want)) && data[i] == want[i] {
		i++
	}
	return fmt.Errorf("from line %d on it is not written as natwarden writes it", 1+bytes.Count(data[:i], []byte("\n")))
}

// checkShown refuses a file that shows its readers something else than it does.
func (f *PlanFile) checkShown() error {
	want := f.shown()
	if len(want) != len(f.Steps) {
		return fmt.Errorf("it shows %d steps and has %d", len(f.Steps), len(want))
	}
	for i := range want {
		want[i].Why, want[i].SideEffects = "", nil // not in the file
		got := f.Steps[i]
		got.IDs = append([]string{}, got.IDs...)
		if !reflect.DeepEqual(got, want[i]) {
			return fmt.Errorf("step %d of what it shows is not what it does: %s", i+1, want[i].Object)
		}
	}
	return nil
}

// IDs are the redirects that the plan ends.
func (f *PlanFile) IDs() []string {
	var out []string
	for _, g := range f.Groups {
		for _, s := range g.Steps {
			out = append(out, s.IDs...)
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// fits refuses a plan that was made for another host, namespace or policy.
func (f *PlanFile) fits(spaces []Space, o Options) error {
	here, err := rollback.Here(o.Version, o.Now(), nil)
	if err != nil {
		return err
	}
	if why := f.foreign(here); why != "" {
		return fmt.Errorf("%w: %s", errForeign, why)
	}
	if f.Policy != o.PolicySHA256 {
		return fmt.Errorf("%w: the plan was made with another policy (SHA-256 %q, now %q)", errForeign, f.Policy, o.PolicySHA256)
	}
	if !f.Origin.SameBoot(here) {
		return nil
	}
	for _, s := range spaces {
		id, err := s.identity()
		if err != nil {
			return err
		}
		i := slices.IndexFunc(f.Origin.Netns, func(n rollback.Netns) bool { return n.Label == s.Label })
		if i >= 0 && !f.Origin.Netns[i].Same(id) {
			return fmt.Errorf("%w: network namespace %s is not the one that the plan was made for", errForeign, name(s.Label))
		}
	}
	return nil
}

// foreign says why the plan was not made on this host, as far as can be told.
// Containers share the boot id with their host, clones of a machine its machine id, and a clone that
// goes on running both: so all that is known must agree.
func (f *PlanFile) foreign(here rollback.Origin) string {
	switch {
	case f.Origin.Host != here.Host:
		return fmt.Sprintf("the plan was made on host %s, this is %s", f.Origin.Host, here.Host)
	case f.Origin.Machine != here.Machine:
		return fmt.Sprintf("the plan was made on host %s with another /etc/machine-id", f.Origin.Host)
	case here.Machine == "" && !f.Origin.SameBoot(here):
		return "this host has no /etc/machine-id, so after a restart nobody can tell whether the plan was made on it"
	}
	return ""
}

// vanished says which redirects of the plan the host no longer has.
func (f *PlanFile) vanished(have func(id string) bool) error {
	var what []string
	for _, g := range f.Groups {
		for _, s := range g.Steps {
			if !slices.ContainsFunc(s.IDs, have) {
				what = append(what, where(s)+" is no longer there: "+s.Object().Text)
			}
		}
	}
	if len(what) == 0 && slices.ContainsFunc(f.IDs(), func(id string) bool { return !have(id) }) {
		what = append(what, "some of the redirects are no longer there")
	}
	if len(what) > 0 {
		return &staleError{what: what}
	}
	return nil
}

// match says how a plan that was made now differs from the file: it must be
// the same steps in the same surroundings.
func (f *PlanFile) match(p *plan) error {
	var what []string
	now := p.record("", "", f.Origin).Groups
	find := func(in []rollback.Group, g rollback.Group) *rollback.Group {
		i := slices.IndexFunc(in, func(o rollback.Group) bool { return o.Netns == g.Netns && o.Backend == g.Backend })
		if i < 0 {
			return &rollback.Group{}
		}
		return &in[i]
	}
	for _, g := range f.Groups {
		n := find(now, g)
		what = append(what, lacking(g.Steps, n.Steps, "the plan's step is not possible any more: ")...)
		what = append(what, diff(g.Before, n.Before)...)
		what = append(what, reworded(g.Steps, n.Steps)...)
		if len(what) == 0 && !slices.EqualFunc(g.Steps, n.Steps, sameStep) {
			what = append(what, g.Backend+": the steps come in another order")
		}
	}
	for _, g := range now {
		what = append(what, lacking(g.Steps, find(f.Groups, g).Steps, "a step is needed that is not in the plan: ")...)
	}
	if len(what) > 0 {
		return &staleError{what: what}
	}
	return nil
}

// reworded names the steps whose objects the file writes otherwise than the
// host has them: its readers agreed to something else.
func reworded(file, now []change.Step) (out []string) {
	for _, s := range file {
		for _, n := range now {
			if sameStep(s, n) && (words(s.Before) != words(n.Before) || words(s.After) != words(n.After)) {
				out = append(out, fmt.Sprintf("%s is %q on the host, not %q", where(n), words(n.Before), words(s.Before)))
				break
			}
		}
	}
	return out
}

func words(o *change.Object) string {
	if o == nil {
		return ""
	}
	return o.Text
}

// lacking names the steps of a that are not in b.
func lacking(a, b []change.Step, words string) (out []string) {
	for _, s := range a {
		if !slices.ContainsFunc(b, func(o change.Step) bool { return sameStep(s, o) }) {
			out = append(out, words+s.Action+" "+where(s))
		}
	}
	return out
}
