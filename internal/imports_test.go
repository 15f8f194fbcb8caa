// Package internal_test holds the rules of the house that no compiler checks.
package internal_test

import (
	"go/parser"
	"go/token"
	"io/fs"
	"maps"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const module = "github.com/natwarden/natwarden/"

// mayImport is the direction of the imports: host is the model and knows
// nobody; readers and editors know the model; judging knows what was read only
// by the model; only the command knows everything. A package that is not
// listed is a reader or editor (see mechanism).
var mayImport = map[string][]string{
	"internal/host":        {},
	"internal/change":      {"internal/host"},
	"internal/walk":        {"internal/host"},
	"internal/path":        {"internal/host"},
	"internal/owner":       {"internal/host"},
	"internal/portmap":     {"internal/host", "internal/path"},
	"policy":               {"internal/host"},
	"audit":                {"internal/host", "internal/walk", "internal/path", "internal/portmap", "internal/owner", "policy"},
	"rollback":             {"internal/host", "internal/change", "internal/retry"},
	"remediate":            {"internal/host", "internal/change", "internal/netns", "rollback"},
	"internal/netns":       {"internal/host", "internal/retry"},
	"internal/retry":       {},
	"internal/lab":         {"internal/netns"},
	"internal/lab/labtest": {"internal/lab"},
	"internal/lab/fault":   {},

	"internal/change/changetest": {"internal/change"},
}

// outside are the ways out of the program: what only reads and judges the
// model has none.
var outside = []string{"os", "os/exec", "syscall", "net", "net/http", "golang.org/x/sys/unix",
	"github.com/mdlayher/netlink", "github.com/google/nftables", "github.com/vishvananda/netlink", "github.com/coreos/go-iptables/iptables"}

// mechanism says whether a package reads or edits one subsystem of the kernel.
// These know the model, steps, namespaces and each other, never judge or command.
func mechanism(pkg string) bool {
	_, listed := mayImport[pkg]
	return strings.HasPrefix(pkg, "internal/") && !listed
}

func isEditor(pkg string) bool { return path.Base(pkg) == "edit" }

// imports maps each package, relative to the module, to what its files that
// are no tests import.
func imports(t *testing.T) map[string]map[string]bool {
	t.Helper()
	out := map[string]map[string]bool{}
	err := filepath.WalkDir("..", func(file string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && (d.Name() == "testdata" || strings.HasPrefix(d.Name(), ".") && d.Name() != "..") {
			return filepath.SkipDir
		}
		if !strings.HasSuffix(file, ".go") || strings.HasSuffix(file, "_test.go") {
			return nil
		}
		parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.ImportsOnly)
		if err != nil {
			return err
		}
		pkg := filepath.ToSlash(filepath.Dir(strings.TrimPrefix(file, "../")))
		if out[pkg] == nil {
			out[pkg] = map[string]bool{}
		}
		for _, spec := range parsed.Imports {
			name, err := strconv.Unquote(spec.Path.Value)
			if err != nil {
				return err
			}
			out[pkg][name] = true
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, must := range []string{"audit", "internal/host", "cmd/natwarden"} {
		if len(out[must]) == 0 && must != "internal/host" || out[must] == nil {
			t.Fatalf("package %s was not found: this test looks at the wrong place", must)
		}
	}
	return out
}

// ours gives the packages of this module among imports, sorted.
func ours(all map[string]bool) []string {
	var out []string
	for name := range all {
		if rest, ok := strings.CutPrefix(name, module); ok {
			out = append(out, rest)
		}
	}
	slices.Sort(out)
	return out
}

func TestImportsAreADirectedGraph(t *testing.T) {
	for pkg, all := range imports(t) {
		for _, dep := range ours(all) {
			if !allowed(pkg, dep) {
				t.Errorf("%s imports %s: that is against the direction of the imports", pkg, dep)
			}
		}
	}
}

func allowed(pkg, dep string) bool {
	if strings.HasPrefix(pkg, "cmd/") {
		return true
	}
	if list, listed := mayImport[pkg]; listed {
		return slices.Contains(list, dep)
	}
	known := dep == "internal/host" || dep == "internal/change" || dep == "internal/netns" || dep == "internal/retry" || mechanism(dep)
	return mechanism(pkg) && known && (isEditor(pkg) || !isEditor(dep))
}

func TestOnlyTheCommandPlugsInReadersAndEditors(t *testing.T) {
	for pkg, all := range imports(t) {
		for _, dep := range ours(all) {
			if mechanism(dep) && !mechanism(pkg) && !strings.HasPrefix(pkg, "cmd/") {
				t.Errorf("%s imports %s: only the command may", pkg, dep)
			}
		}
	}
}

// Reading changes nothing: there is no way from audit to anything that edits.
func TestAuditHasNoWayToAnEditor(t *testing.T) {
	graph := imports(t)
	for _, pkg := range slices.Sorted(maps.Keys(reached(graph, "audit"))) {
		if isEditor(pkg) || slices.Contains([]string{"remediate", "rollback", "internal/change", "internal/lab"}, pkg) {
			t.Errorf("audit reaches %s", pkg)
		}
	}
	if got := reached(graph, "cmd/natwarden"); !got["remediate"] {
		t.Error("the command does not reach remediate: this test looks at the wrong graph")
	}
}

func reached(graph map[string]map[string]bool, from string) map[string]bool {
	seen, todo := map[string]bool{from: true}, []string{from}
	for len(todo) > 0 {
		next := todo[0]
		todo = todo[1:]
		for _, dep := range ours(graph[next]) {
			if !seen[dep] {
				seen[dep] = true
				todo = append(todo, dep)
			}
		}
	}
	return seen
}

func TestJudgingTouchesNothing(t *testing.T) {
	graph := imports(t)
	for _, pkg := range []string{"internal/host", "internal/change", "internal/walk", "internal/path", "internal/portmap", "internal/owner", "audit"} {
		for _, way := range outside {
			if graph[pkg][way] {
				t.Errorf("%s imports %s: it works on values only", pkg, way)
			}
		}
	}
	for pkg, all := range graph {
		if all["os/exec"] && !mechanism(pkg) && pkg != "internal/lab" && pkg != "internal/lab/labtest" && pkg != "cmd/natwarden" {
			t.Errorf("%s runs programs: only readers and editors of a subsystem may", pkg)
		}
	}
}
