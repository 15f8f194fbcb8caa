package main

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/natwarden/natwarden/internal/lab/labtest"
)

// TestAuditLeavesNoTrace runs an audit under strace and holds that it writes
// nowhere but to standard output and standard error, and that nothing in the
// kernel is other than before: the nf_tables generation, the tables of
// iptables-legacy (listing one the usual way makes it), the modules.
func TestAuditLeavesNoTrace(t *testing.T) {
	space := labtest.New(t, "strace", "nft", "iptables")
	space.MustRun(t, "", "iptables-nft", "-t", "nat", "-A", "PREROUTING", "-p", "tcp", "--dport", "80", "-j", "DNAT", "--to-destination", "192.168.1.10:8080")
	binary, trace := filepath.Join(t.TempDir(), "natwarden"), filepath.Join(t.TempDir(), "trace")
	if err := os.Symlink(testBinary(t), binary); err != nil {
		t.Fatal(err)
	}
	before := marks(t, space)
	var out []byte
	space.MustDo(t, func(ctx context.Context) error {
		cmd := exec.CommandContext(ctx, "strace", "-f", "-yy", "-s", "64", "-o", trace,
			binary, "audit", "--netns", "current", "--policy", "builtin", "-o", "json", "--state-dir", filepath.Join(t.TempDir(), "none"))
		out, _ = cmd.Output() // the exit code is the verdict; what counts is below
		return nil
	})
	if !strings.Contains(string(out), `"schema_version":1`) {
		t.Fatalf("no report: %s", out)
	}
	if after := marks(t, space); after != before {
		t.Errorf("before:\n%s\nafter:\n%s", before, after)
	}
	calls, err := os.ReadFile(trace)
	if err != nil {
		t.Fatal(err)
	}
	wrote := changes(string(calls))
	for _, call := range wrote.bad {
		t.Errorf("audit did: %s", call)
	}
	if wrote.stdout == 0 {
		t.Error("strace saw no write to standard output: this test sees nothing")
	}
}

func testBinary(t *testing.T) string {
	t.Helper()
	path, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// marks are what would change if reading changed anything.
func marks(t *testing.T, space labtest.Space) string {
	t.Helper()
	names := space.MustRun(t, "", "sh", "-c", "cat /proc/net/ip_tables_names /proc/net/ip6_tables_names 2>/dev/null; true")
	modules := space.MustRun(t, "", "sh", "-c", "cut -d' ' -f1 /proc/modules 2>/dev/null; true")
	generation := ""
	space.MustDo(t, func(ctx context.Context) error {
		var err error
		generation, err = nftGeneration(ctx)
		return err
	})
	return "legacy tables: " + names + "\nmodules: " + modules + "\ngeneration: " + generation
}

type traced struct {
	bad    []string
	stdout int
}

var (
	writing = regexp.MustCompile(`^\d+ +(?:write|pwrite64|writev|pwritev2?)\((\d+)<(.*)`)
	opening = regexp.MustCompile(`^\d+ +(?:open|openat|openat2|creat)\(.*\b(?:O_WRONLY|O_RDWR|O_CREAT|O_TRUNC|O_APPEND)\b`)
	// changing are calls that change files, mounts, namespaces of others, or kernel settings.
	changing = regexp.MustCompile(`^\d+ +(?:creat|mkdir|mkdirat|unlink|unlinkat|rename|renameat|renameat2|link|linkat|symlink|symlinkat|` +
		`chmod|fchmod|fchmodat|chown|fchown|fchownat|truncate|ftruncate|mknod|mknodat|mount|umount2|init_module|finit_module|` +
		`setxattr|fsetxattr|utimensat|bpf|kill|tgkill|ptrace|setns|unshare|sethostname|execve)\(`)
)

// changes finds in a trace what is no reading.
func changes(trace string) traced {
	var out traced
	execs := 0
	for line := range strings.Lines(trace) {
		line = strings.TrimSpace(line)
		if m := writing.FindStringSubmatch(line); m != nil {
			switch {
			case m[1] == "1":
				out.stdout++
			case m[1] == "2", strings.HasPrefix(m[2], "anon_inode:[eventfd"), strings.HasPrefix(m[2], "pipe:"):
			default:
				out.bad = append(out.bad, line)
			}
			continue
		}
		if opening.MatchString(line) && !strings.Contains(line, `"/dev/null"`) {
			out.bad = append(out.bad, line)
		}
		if changing.MatchString(line) && !harmless(line, &execs) {
			out.bad = append(out.bad, line)
		}
	}
	return out
}

// harmless leaves out the start of natwarden itself, the Go runtime's own
// signals between its threads, and entering the network namespace in scope on a
// thread that is thrown away.
func harmless(line string, execs *int) bool {
	if strings.Contains(line, " execve(") {
		*execs++
		return *execs == 1
	}
	return strings.Contains(line, " tgkill(") && strings.Contains(line, "SIGURG") ||
		strings.Contains(line, " setns(") && strings.Contains(line, "CLONE_NEWNET") && !strings.Contains(line, "|") ||
		askingBPF.MatchString(line)
}

// askingBPF are the commands of bpf(2) that list, open and describe; all
// others load, attach, write or pin.
var askingBPF = regexp.MustCompile(` bpf\((?:BPF_PROG_QUERY|BPF_(?:PROG|LINK|MAP|BTF)_GET_(?:NEXT_ID|FD_BY_ID)|BPF_OBJ_GET|BPF_OBJ_GET_INFO_BY_FD),`)
