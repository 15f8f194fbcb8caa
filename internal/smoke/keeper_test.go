package smoke

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/natwarden/natwarden/internal/host"
)

// asNatwarden makes the test binary ask one probe and do nothing else: for a test
// that kills it.
const asNatwarden = "NATWARDEN_TEST_SMOKE"

func TestMain(m *testing.M) {
	if code, mine := Keeper(os.Args); mine {
		os.Exit(code)
	}
	if script := os.Getenv(asNatwarden); script != "" {
		Ask(context.Background(), []host.Probe{{Timeout: time.Minute, Command: []string{"/bin/sh", script}}}, files())
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// breeder is a script that leaves processes behind in every way that a shell has: a
// child, one in a session of its own, one whose parents are gone.
// Each writes its number to the file.
func breeder(t *testing.T, then string) (script, pids string) {
	t.Helper()
	dir := t.TempDir()
	script, pids = filepath.Join(dir, "breed.sh"), filepath.Join(dir, "pids")
	text := fmt.Sprintf(`p=%s
sh -c 'echo $$ >>'$p'; exec sleep 1000' &
setsid sh -c 'echo $$ >>'$p'; exec sleep 1000' &
setsid sh -c "setsid sh -c 'echo \$\$ >>$p; trap \"\" TERM HUP INT; exec 0<&- 1>&- 2>&-; exec sleep 1000' & exit 0" &
while [ "$(wc -l <$p)" -lt 3 ]; do sleep 0.02; done
echo $$ >>$p
%s
`, pids, then)
	for path, data := range map[string]string{script: text, pids: ""} {
		if err := os.WriteFile(path, []byte(data), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	return script, pids
}

// bred waits for the numbers that a breeder writes.
func bred(t *testing.T, pids string) (out []int) {
	t.Helper()
	for end := time.Now().Add(20 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		data, err := os.ReadFile(pids)
		if err != nil {
			t.Fatal(err)
		}
		if fields := strings.Fields(string(data)); len(fields) == 4 {
			for _, f := range fields {
				n, err := strconv.Atoi(f)
				if err != nil {
					t.Fatal(err)
				}
				out = append(out, n)
			}
			return out
		}
		if time.Now().After(end) {
			t.Fatalf("only %q", data)
		}
	}
}

func noneLive(t *testing.T, pids []int, within time.Duration) {
	t.Helper()
	for _, pid := range pids {
		for end := time.Now().Add(within); alive(pid); time.Sleep(5 * time.Millisecond) {
			if time.Now().After(end) {
				t.Errorf("process %d lives on", pid)
				_ = syscall.Kill(pid, syscall.SIGKILL)
				break
			}
		}
	}
}

func TestNothingOutlivesTheTimeLimit(t *testing.T) {
	t.Parallel()
	script, pids := breeder(t, "sleep 1000")
	got := why(t, host.Probe{Timeout: 6 * time.Second, Command: []string{"/bin/sh", script}})
	check(t, "slow", got, "no answer within 6s")
	noneLive(t, bred(t, pids), 0) // the answer comes when they are dead
}

func TestNothingOutlivesTheProgram(t *testing.T) {
	t.Parallel()
	for _, code := range []string{"0", "3"} {
		script, pids := breeder(t, "echo well; exit "+code)
		want := map[string]string{"0": "", "3": "exit status 3: well"}[code]
		check(t, "ended", why(t, host.Probe{Timeout: 20 * time.Second, Command: []string{"/bin/sh", script}}), want)
		noneLive(t, bred(t, pids), 0)
	}
}

// A kill that nobody can catch ends natwarden; what it started goes as well.
func TestNothingOutlivesNatwarden(t *testing.T) {
	t.Parallel()
	script, pids := breeder(t, "sleep 1000")
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), asNatwarden+"="+script)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	all := bred(t, pids)
	for _, pid := range all {
		if !alive(pid) {
			t.Errorf("process %d is gone too early", pid)
		}
	}
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait()
	noneLive(t, all, 10*time.Second)
}

// Whoever forks and ends without pause is caught all the same.
func TestAProcessThatRunsAwayIsCaught(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	script, count := filepath.Join(dir, "run.sh"), filepath.Join(dir, "count")
	if err := os.WriteFile(script, fmt.Appendf(nil, "echo x >>%s\n[ $(wc -l <%s) -gt 100000 ] || setsid sh %s &\n", count, count, script), 0o700); err != nil {
		t.Fatal(err)
	}
	check(t, "running", why(t, host.Probe{Timeout: 20 * time.Second, Command: []string{"/bin/sh", script}}), "")
	size := func() int64 {
		st, err := os.Stat(count)
		if err != nil {
			t.Fatal(err)
		}
		return st.Size()
	}
	before := size()
	time.Sleep(200 * time.Millisecond)
	if after := size(); after != before {
		t.Errorf("it runs on: %d, then %d", before, after)
	}
}

// The program gets standard input, output and error and nothing else: neither a
// lock nor a socket of natwarden, nor what natwarden's caller left open.
func TestAProgramInheritsNoDescriptor(t *testing.T) {
	t.Parallel()
	var ends [2]int
	if err := unix.Pipe2(ends[:], 0); err != nil { // without close-on-exec
		t.Fatal(err)
	}
	defer unix.Close(ends[0])
	defer unix.Close(ends[1])
	got := why(t, host.Probe{Command: []string{"/bin/sh", "-c", `n=0; while [ $n -lt 200 ]; do [ -e /proc/$$/fd/$n ] && all="$all $n"; n=$((n+1)); done; echo $all; exit 9`}})
	if got != "exit status 9: 0 1 2" {
		t.Errorf("%q", got)
	}
	got = why(t, host.Probe{Command: []string{"/bin/sh", "-c", `grep -E '^(SigIgn|SigBlk|NoNewPrivs|Groups|CapEff|Uid)' /proc/self/status | tr -s '\n\t' '  ' && exit 9`}})
	own, err := os.ReadFile("/proc/self/status")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"SigIgn", "SigBlk", "NoNewPrivs", "Groups", "CapEff", "Uid"} {
		_, rest, _ := strings.Cut(string(own), "\n"+name+":")
		value, _, _ := strings.Cut(rest, "\n")
		check(t, "natwarden's own "+name, got+" ", strings.Join(strings.Fields(name+": "+value), " ")+" ")
	}
}

// Killed itself, the keeper takes the program with it, and natwarden says so.
func TestAKilledKeeperIsToldOf(t *testing.T) {
	t.Parallel()
	got := why(t, host.Probe{Timeout: 20 * time.Second, Command: []string{"/bin/sh", "-c", "kill -9 $PPID; sleep 1000"}})
	check(t, "killed", got, "was killed")
}

// The keeper is natwarden's own: nobody starts it by hand.
func TestTheKeeperIsNotForPeople(t *testing.T) {
	t.Parallel()
	if code, mine := Keeper([]string{"natwarden", "audit"}); mine || code != 0 {
		t.Errorf("%d %v", code, mine)
	}
	out, err := exec.Command(os.Args[0], keeperVerb, "5s", "/bin/echo", "ran").CombinedOutput()
	if err == nil || strings.Contains(string(out), "ran\n") || !strings.Contains(string(out), "starts this itself") {
		t.Errorf("%v %s", err, out)
	}
}

// A kernel without the list of children is searched process by process.
func TestChildrenAreFoundEitherWay(t *testing.T) {
	t.Parallel()
	cmd := exec.Command("/bin/sleep", "1000")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = cmd.Process.Kill(); _ = cmd.Wait() }()
	ways := map[string]func() []int{
		"either":   func() []int { return children(os.Getpid()) },
		"searched": func() []int { return searchedChildren(os.Getpid()) },
	}
	if _, err := os.Stat("/proc/thread-self/children"); err == nil {
		ways["listed"] = func() []int {
			for range 100 { // a thread that ends meanwhile takes its list with it
				if found, err := listedChildren(os.Getpid()); err == nil {
					return found
				}
			}
			return nil
		}
	}
	for name, way := range ways {
		found := way()
		here := false
		for _, pid := range found {
			here = here || pid == cmd.Process.Pid
		}
		if !here {
			t.Errorf("%s: %v without %d", name, found, cmd.Process.Pid)
		}
	}
}
