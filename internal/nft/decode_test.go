package nft

import (
	"flag"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write the golden files anew")

// TestDecode loads each testdata/decode/NAME.nft into a real kernel and holds
// what was decoded against NAME.golden. A NAME.cmds holds commands, one a line
// (words separated by blanks, no shell).
func TestDecode(t *testing.T) {
	for _, pattern := range []string{"*.nft", "*.cmds"} {
		files, err := filepath.Glob(filepath.Join("testdata", "decode", pattern))
		if err != nil || len(files) == 0 {
			t.Fatalf("no test data for %s: %v", pattern, err)
		}
		for _, file := range files {
			t.Run(strings.TrimSuffix(filepath.Base(file), filepath.Ext(file)), func(t *testing.T) { golden(t, file) })
		}
	}
}

func golden(t *testing.T, file string) {
	input, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var d Decoded
	if strings.HasSuffix(file, ".nft") {
		d = decodeIn(t, string(input))
	} else {
		d = decodeIn(t, "", commands(string(input))...)
	}
	got := summary(d)
	name := strings.TrimSuffix(file, filepath.Ext(file)) + ".golden"
	if *update {
		if err := os.WriteFile(name, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Error(differences(got, string(want)))
	}
}

// differences lists the lines that only one of two texts has.
func differences(got, want string) string {
	var b strings.Builder
	have, wish := strings.Split(got, "\n"), strings.Split(want, "\n")
	for _, line := range have {
		if !slices.Contains(wish, line) {
			b.WriteString("\n got " + line)
		}
	}
	for _, line := range wish {
		if !slices.Contains(have, line) {
			b.WriteString("\nwant " + line)
		}
	}
	if b.Len() == 0 {
		return "the same lines in another order"
	}
	return b.String()
}

func commands(text string) [][]string {
	var out [][]string
	for _, line := range strings.Split(text, "\n") {
		if words := strings.Fields(line); len(words) > 0 && words[0] != "#" {
			out = append(out, words)
		}
	}
	return out
}
