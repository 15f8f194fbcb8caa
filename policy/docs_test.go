package policy

import (
	"os"
	"strings"
	"testing"
)

// What the documents show as a policy is one.
func TestExamplesOfTheDocuments(t *testing.T) {
	seen := 0
	for _, file := range []string{"../docs/policy.md", "../README.md"} {
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for i, part := range strings.Split(string(data), "```yaml\n")[1:] {
			text, _, closed := strings.Cut(part, "```")
			if !closed {
				t.Fatalf("%s: example %d has no end", file, i+1)
			}
			if !strings.HasPrefix(text, "version:") {
				text = "version: 1\n" + text
			}
			seen++
			if _, err := Parse([]byte(text), file); err != nil {
				t.Errorf("%s: example %d:\n%v", file, i+1, err)
			}
		}
	}
	if seen < 5 {
		t.Errorf("only %d examples were found: this test looks at the wrong place", seen)
	}
}
