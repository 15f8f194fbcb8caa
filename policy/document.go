package policy

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strconv"
	"strings"
	"unicode/utf8"

	"go.yaml.in/yaml/v3"
)

// reader gathers the mistakes of one file while it is read.
type reader struct {
	file string
	errs Errors
}

func (r *reader) add(n *yaml.Node, message, hint string) {
	r.at(max(n.Line, 1), max(n.Column, 1), message, hint)
}

func (r *reader) at(line, col int, message, hint string) {
	r.errs = append(r.errs, Error{r.file, line, col, message, hint})
}

// document gives the root of the only document, or nil where there is none
// that can be read.
func (r *reader) document(data []byte) *yaml.Node {
	if !r.isText(data) {
		return nil
	}
	decoder := yaml.NewDecoder(bytes.NewReader(data))
	var doc, second yaml.Node
	switch err := decode(decoder, &doc); {
	case errors.Is(err, io.EOF) || err == nil && isNothing(&doc):
		r.at(1, 1, "the policy is empty", "an empty allowlist is: version: 1")
		return nil
	case err != nil:
		r.syntax(data, err)
		return nil
	}
	if err := decode(decoder, &second); err == nil {
		r.add(&second, "a second document", "a policy is one document: remove the line ---")
	} else if !errors.Is(err, io.EOF) {
		r.syntax(data, err)
	}
	root := doc.Content[0]
	r.refuseTricks(root, 1)
	return root
}

// decode turns a panic of the YAML library into an error: the file may be
// anything.
func decode(d *yaml.Decoder, into *yaml.Node) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("yaml: cannot be read: %v", p)
		}
	}()
	return d.Decode(into)
}

func isNothing(doc *yaml.Node) bool {
	return len(doc.Content) == 0 || doc.Content[0].Kind == yaml.ScalarNode && doc.Content[0].Tag == "!!null"
}

// isText finds the first character that no policy may hold; the YAML library
// names no place for what it refuses, and takes what breaks or turns a line
// unseen.
func (r *reader) isText(data []byte) bool {
	line, start := 1, 0
	for i := 0; i < len(data); {
		c, size := utf8.DecodeRune(data[i:])
		switch {
		case c == utf8.RuneError && size == 1:
			r.at(line, i-start+1, "not UTF-8", "save the file as UTF-8")
			return false
		case hidden(c):
			r.at(line, i-start+1, fmt.Sprintf("control character %q", c), `write it as an escape in double quotes: "\x1b", "\u2028"`)
			return false
		case c == '\n':
			line, start = line+1, i+1
		}
		i += size
	}
	return true
}

// hidden: control characters, the line breaks that only YAML 1.1 knows, and the
// characters that turn the direction of writing (Unicode UAX #9). A person who
// reviews the file does not see them.
func hidden(c rune) bool {
	return c < ' ' && c != '\t' && c != '\n' && c != '\r' || c >= 0x7f && c < 0xa0 || c == 0x2028 || c == 0x2029 ||
		c >= 0x202a && c <= 0x202e || c >= 0x2066 && c <= 0x2069
}

var (
	lineOf   = regexp.MustCompile(`^yaml: line (\d+): (.*)`)
	anchorOf = regexp.MustCompile(`unknown anchor '(.*)' referenced`)
)

// syntax adds an error of the YAML library, which names a line at best.
func (r *reader) syntax(data []byte, err error) {
	if m := anchorOf.FindStringSubmatch(err.Error()); m != nil {
		line, col := placeOf(data, "*"+m[1])
		r.at(line, col, "alias *"+m[1], noAliases)
		return
	}
	if m := lineOf.FindStringSubmatch(err.Error()); m != nil {
		line, _ := strconv.Atoi(m[1])
		r.at(max(line, 1), 1, m[2], yamlHint(lineIn(data, line)))
		return
	}
	message := strings.TrimPrefix(err.Error(), "yaml: ")
	r.at(1, 1, message, yamlHint(nil))
}

func yamlHint(line []byte) string {
	if indent := line[:len(line)-len(bytes.TrimLeft(line, " \t"))]; bytes.ContainsRune(indent, '\t') {
		return "YAML is indented by spaces, not tabs"
	}
	return "not YAML: look at quotes, colons and indentation, in the lines above too"
}

// lineIn gives a line of the file, counted from 1; nil where there is none.
func lineIn(data []byte, line int) []byte {
	lines := bytes.SplitN(data, []byte{'\n'}, line+1)
	if line < 1 || len(lines) < line {
		return nil
	}
	return lines[line-1]
}

func placeOf(data []byte, text string) (line, col int) {
	i := bytes.Index(data, []byte(text))
	if i < 0 {
		return 1, 1
	}
	before := data[:i]
	return 1 + bytes.Count(before, []byte{'\n'}), i - bytes.LastIndexByte(before, '\n')
}

// maxDepth is deeper than any key of a policy stands.
const maxDepth = 10

const noAliases = "write the value out: a policy has no anchors, aliases or merge keys"

// refuseTricks adds what YAML can and a policy must not do: what is read must
// be what a person sees in that place.
func (r *reader) refuseTricks(n *yaml.Node, depth int) {
	switch {
	case n.Kind == yaml.AliasNode:
		r.add(n, "alias *"+n.Value, noAliases)
		return
	case n.Anchor != "":
		r.add(n, "anchor &"+n.Anchor, noAliases)
	case n.Tag == "!!merge":
		r.add(n, "merge key <<", noAliases)
	case n.Style&yaml.TaggedStyle != 0:
		r.add(n, "tag "+n.Tag, "remove it: types follow from the key")
	}
	if depth > maxDepth {
		r.add(n, "nested too deeply", "no key of a policy stands so deep")
		return
	}
	for _, child := range n.Content {
		r.refuseTricks(child, depth+1)
	}
}
