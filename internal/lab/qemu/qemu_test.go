package qemu

import (
	"bufio"
	"context"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

const (
	// kernelsVariable names folders with unpacked packages of Debian's kernels (.ci/setup.sh).
	kernelsVariable = "NATWARDEN_KERNELS"
	// guestVariable is set for whatever runs in the guest.
	guestVariable = "NATWARDEN_GUEST"
	// onlyVariable is a pattern of the tests of this package to run in the guest.
	onlyVariable = "NATWARDEN_GUEST_ONLY"

	root    = "../../.."
	machine = "qemu-system-x86_64"
	// bootTime bounds one machine from start to end.
	bootTime = 10 * time.Minute
)

// TestOnDebiansKernels runs tests of this module on other kernels, and reports
// each of them as if it had run here.
func TestOnDebiansKernels(t *testing.T) {
	list := os.Getenv(kernelsVariable)
	if list == "" {
		t.Skipf("%s names no kernel: ./test.sh fetches them", kernelsVariable)
	}
	if _, err := exec.LookPath(machine); err != nil {
		t.Skipf("there is no %s", machine)
	}
	built := build(t)
	for _, k := range kernelsIn(t, list) {
		t.Run(k.release, func(t *testing.T) {
			t.Parallel() // a guest does one thing at a time
			began := time.Now()
			image := imageOf(t, k, built)
			t.Logf("packed in %v", time.Since(began).Round(time.Millisecond))
			text := boot(t, k, image)
			if !strings.Contains(text, suiteBegins) { // a busy machine is late with the guest's timers
				t.Log("it did not come to its first test: once more")
				text = boot(t, k, image)
			}
			if !strings.Contains(text, guestEnds) {
				t.Errorf("the machine did not come to its end:\n%s", tail(text))
			}
			report(t, text)
		})
	}
}

// build makes natwarden and the test binaries.
func build(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	goRun := func(args ...string) {
		cmd := exec.Command("go", args...)
		cmd.Dir = root
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("go %s: %v\n%s", strings.Join(args, " "), err, out)
		}
	}
	goRun("build", "-o", filepath.Join(dir, "natwarden"), "./cmd/natwarden")
	goRun("test", "-c", "-o", filepath.Join(dir, "qemu"), "./internal/lab/qemu")
	for _, p := range packages() {
		goRun("test", "-c", "-o", filepath.Join(dir, strings.ReplaceAll(strings.TrimPrefix(p, "internal/"), "/", "-")), "./"+p)
	}
	return dir
}

// boot runs the machine to its end and gives what it printed. It has no disk,
// no network and no way to this machine but its console. It does without cmpxchg16b, which
// qemu 7.2 emulates so that a kernel of 6.12 dies of it.
func boot(t *testing.T, k kernel, image string) string {
	t.Helper()
	ctx, stop := context.WithTimeout(t.Context(), bootTime)
	defer stop()
	cmd := exec.CommandContext(ctx, machine, "-accel", "tcg", "-cpu", "max,-cx16", "-smp", "2", "-m", "1536", "-nodefaults", "-no-user-config",
		"-nographic", "-no-reboot", "-nic", "none", "-serial", "stdio", "-kernel", k.image, "-initrd", image,
		"-append", "console=ttyS0 panic=-1 quiet rdinit=/init no_timer_check random.trust_cpu=on mitigations=off "+onlyVariable+"="+os.Getenv(onlyVariable))
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	var errs strings.Builder
	cmd.Stderr = &errs
	began := time.Now()
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	text, _ := io.ReadAll(out)
	err = cmd.Wait()
	if path := os.Getenv("NATWARDEN_GUEST_LOG"); path != "" {
		_ = os.WriteFile(path+"."+k.release, text, 0o600)
	}
	t.Logf("the machine ran for %v %v %s", time.Since(began).Round(time.Millisecond), err, errs.String())
	return strings.ReplaceAll(string(text), "\r", "")
}

func tail(text string) string {
	if n := len(text) - 6000; n > 0 {
		return text[n:]
	}
	return text
}

// outcome is what one test of the guest said.
type outcome struct {
	suite, name, result string // PASS, FAIL, SKIP
	said                string
}

// report makes a test of each test of the guest.
func report(t *testing.T, text string) {
	t.Helper()
	all, ends := outcomes(text)
	if len(all) == 0 {
		t.Fatalf("no test ran in the guest:\n%s", tail(text))
	}
	for _, o := range all {
		t.Run(o.suite+"/"+o.name, func(t *testing.T) {
			switch o.result {
			case "SKIP":
				t.Skip(o.said)
			case "PASS":
			default:
				t.Errorf("in the guest: %s\n%s", o.result, o.said)
			}
		})
	}
	for _, end := range ends {
		t.Log(end)
		if !strings.HasSuffix(end, ": ok") {
			t.Errorf("suite %s", end)
		}
	}
}

// outcomes reads what `go test -v` prints: tests at the top level, with what
// those below them say.
func outcomes(text string) (all []outcome, ends []string) {
	suite, said := "", ""
	for lines := bufio.NewScanner(strings.NewReader(text)); lines.Scan(); {
		line := lines.Text()
		switch {
		case strings.Contains(line, suiteBegins): // the first stands behind what the firmware draws
			_, suite, _ = strings.Cut(line, suiteBegins)
			said = ""
		case strings.HasPrefix(line, suiteEnds):
			ends = append(ends, strings.TrimPrefix(line, suiteEnds))
			if strings.Contains(said, "panic:") || strings.Contains(said, "fatal error:") {
				all = append(all, outcome{suite, "crash", "FAIL", said})
			}
		case strings.HasPrefix(line, "=== RUN") && !strings.Contains(line, "/"):
			said = ""
		case strings.HasPrefix(line, "--- "):
			words := strings.Fields(line)
			all = append(all, outcome{suite, words[2], strings.TrimSuffix(words[1], ":"), said})
		case strings.HasPrefix(line, "===") || line == "PASS":
		default:
			said += line + "\n"
		}
	}
	return all, ends
}
