package policy

import (
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"testing"
)

func TestSchemaGolden(t *testing.T) { golden(t, "schema.json", Schema()) }

// mappings finds every mapping of the schema with the path to it.
func mappings(s map[string]any, path []string, visit func(path, keys []string)) {
	if items, ok := s["items"].(map[string]any); ok {
		mappings(items, append(path, "-"), visit)
	}
	properties, ok := s["properties"].(map[string]any)
	if !ok {
		return
	}
	visit(slices.Clone(path), slices.Sorted(maps.Keys(properties)))
	for name, inner := range properties {
		mappings(inner.(map[string]any), append(path, name), visit)
	}
}

// document writes a policy in which the mapping at path has these keys.
func document(path, keys []string) string {
	var b strings.Builder
	b.WriteString("{")
	if len(path) == 0 {
		for i, k := range keys {
			if i > 0 {
				b.WriteString(", ")
			}
			b.WriteString(k + ": {}")
		}
		return b.String() + "}"
	}
	inner := document(path[1:], keys)
	if path[0] == "-" {
		return "[" + inner + "]"
	}
	return "{" + path[0] + ": " + inner + "}"
}

func TestSchemaAndParserHaveTheSameKeys(t *testing.T) {
	var s map[string]any
	if err := json.Unmarshal(Schema(), &s); err != nil {
		t.Fatal(err)
	}
	seen := 0
	mappings(s, nil, func(path, keys []string) {
		seen++
		_, err := Parse([]byte(document(path, keys)), "p")
		if err == nil || strings.Contains(err.Error(), "unknown key") {
			t.Errorf("at %v the parser does not know a key of the schema: %v", path, err)
		}
		_, err = Parse([]byte(document(path, []string{"qqqqqqqq"})), "p")
		if err == nil || !strings.Contains(err.Error(), `unknown key "qqqqqqqq"`) || !strings.Contains(err.Error(), "known are ") {
			t.Fatalf("at %v: %v", path, err)
		}
		_, known, _ := strings.Cut(err.Error(), "known are ")
		known, _, _ = strings.Cut(known, ")")
		parser := strings.Split(known, ", ")
		slices.Sort(parser)
		if !slices.Equal(parser, keys) {
			t.Errorf("at %v the schema has %v, the parser %v", path, keys, parser)
		}
	})
	if seen != 16 {
		t.Errorf("%d mappings, want 16: the file, defaults, limits, change, a window, a smoke test, http, dns, closed, allow, two entries, two matches, process, owner", seen)
	}
}

// TestKeysOfTheContract holds the keys themselves, so that one that is lost is
// not lost from both sides unseen.
func TestKeysOfTheContract(t *testing.T) {
	names := func(list string) []string { return strings.Fields(list) }
	got := map[string][]string{}
	for _, k := range redirectMatchObject().keys {
		got["redirect"] = append(got["redirect"], k.name)
	}
	for _, k := range listenerMatchObject().keys {
		got["listener"] = append(got["listener"], k.name)
	}
	want := map[string][]string{
		"redirect": names("mechanism kind family proto ports address source to direction netns writer table chain hook in dev comment file process owner tag pin id"),
		"listener": names("proto ports address netns exe user unit container transparent"),
	}
	for name := range want {
		slices.Sort(got[name])
		slices.Sort(want[name])
		if !slices.Equal(got[name], want[name]) {
			t.Errorf("match keys of a %s: %v, want %v", name, got[name], want[name])
		}
	}
}
