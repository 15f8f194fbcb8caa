package main

import (
	"bufio"
	"bytes"
	"context"
	"io"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/natwarden/natwarden/internal/lab/labtest"
)

// What the README shows of the demo is what the demo prints, but for ids and
// port numbers that differ from run to run.
func TestReadmeShowsTheDemo(t *testing.T) {
	labtest.New(t, "iptables")
	var out bytes.Buffer
	s := &streams{in: os.Stdin, out: bufio.NewWriter(&out), notes: io.Discard}
	if code := execute(context.Background(), s, []string{"demo", "--color", "never"}); code != exitOK {
		t.Fatalf("exit code %d\n%s", code, &out)
	}
	readme, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	shown := between(string(readme), "1. Before", "\n```")
	printed := between(out.String(), "1. Before", "\n\nEvery step")
	if shown == "" || sameForAll(shown) != sameForAll(printed) {
		t.Errorf("the README shows\n%s\nthe demo prints\n%s", shown, printed)
	}
}

func between(text, from, to string) string {
	_, rest, found := strings.Cut(text, from)
	body, _, closed := strings.Cut(rest, to)
	if !found || !closed {
		return ""
	}
	return body
}

var (
	changing1 = regexp.MustCompile(`change \S+`)
	changing2 = regexp.MustCompile(`:\d+ ->\s`)
)

// sameForAll takes away what differs from run to run, and line breaks, which
// depend on it.
func sameForAll(text string) string {
	text = changing2.ReplaceAllString(changing1.ReplaceAllString(text, "change X."), ":P -> ")
	return strings.Join(strings.Fields(text), " ")
}
