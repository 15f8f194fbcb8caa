package netns

import (
	"bufio"
	"io"
	"os"
	"path"
	"strconv"
	"strings"
)

// mount is a namespace file that is mounted.
type mount struct {
	kind string // net, mnt, …
	ino  uint64
	path string
}

func mountsIn(file string) []mount {
	f, err := os.Open(file)
	if err != nil {
		return nil
	}
	defer f.Close()
	return parseMounts(f)
}

// parseMounts picks the namespace files from a list of mounts (proc(5),
// /proc/PID/mountinfo: number, parent, device, root, mount point, options, …,
// " - ", type, …). The root of a namespace file is its name, "net:[4026531840]".
func parseMounts(in io.Reader) []mount {
	var out []mount
	lines := bufio.NewScanner(in)
	lines.Buffer(make([]byte, 0, 4096), 1<<20)
	for lines.Scan() {
		before, after, ok := strings.Cut(lines.Text(), " - ")
		fields := strings.Fields(before)
		if !ok || len(fields) < 6 || !strings.HasPrefix(after, "nsfs ") {
			continue
		}
		if kind, ino, ok := nsName(fields[3]); ok {
			out = append(out, mount{kind, ino, path.Clean(unescapeMount(fields[4]))})
		}
	}
	return out
}

// nsName reads the kernel's name for a namespace file, "net:[4026531840]".
func nsName(text string) (kind string, ino uint64, ok bool) {
	kind, rest, ok := strings.Cut(text, ":[")
	digits, closed := strings.CutSuffix(rest, "]")
	ino, err := strconv.ParseUint(digits, 10, 64)
	return kind, ino, ok && closed && err == nil
}

// unescapeMount reads the kernel's escapes of blanks and backslashes in
// paths: a backslash and three octal digits (fs/seq_file.c, mangle_path).
func unescapeMount(s string) string {
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] == '\\' && i+4 <= len(s) {
			if c, err := strconv.ParseUint(s[i+1:i+4], 8, 8); err == nil {
				b.WriteByte(byte(c))
				i += 3
				continue
			}
		}
		b.WriteByte(s[i])
	}
	return b.String()
}
