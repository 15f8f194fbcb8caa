package smoke

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/natwarden/natwarden/internal/proc"
)

// keeperVerb is the word by which natwarden starts itself as a keeper.
const keeperVerb = "keep-smoke-test"

// The keeper's descriptors beside standard input, output and error.
const (
	lifeFD = 3 // ends when natwarden wants the end, or is dead
	wordFD = 4 // takes what is to be said when all is over
)

const (
	// killTime is how long killing may take. Only what hangs in the kernel takes any.
	killTime  = 5 * time.Second
	killPause = 5 * time.Millisecond // between two rounds of it
	wordLimit = 64 << 10             // bytes
)

// word is what the keeper says at the end.
type word struct {
	Error  string   `json:"error,omitempty"` // why the program was not run
	Status uint32   `json:"status"`          // of the program, as wait(2) gives it
	Left   []string `json:"left,omitempty"`  // processes that could not be killed
}

func (w word) status() syscall.WaitStatus { return syscall.WaitStatus(w.Status) }

// Keeper says whether a command line is one by which this package started
// natwarden as the keeper of a program. Then it is that, and gives the exit code when
// the program and all that it started are dead. It must be asked before anything else is done.
//
// The kernel gives a keeper every descendant whose parents are gone
// (PR_SET_CHILD_SUBREAPER, prctl(2)), whatever session or group it went to. So
// nothing gets away but what another daemon was asked to start, and what the
// program left behind where the keeper itself is killed.
func Keeper(args []string) (code int, mine bool) {
	if len(args) < 4 || args[1] != keeperVerb {
		return 0, false
	}
	limit, err := time.ParseDuration(args[2])
	if err != nil || !isPipe(lifeFD) || !isPipe(wordFD) {
		fmt.Fprintln(os.Stderr, "natwarden: natwarden starts this itself, for the smoke tests of a policy")
		return 1, true
	}
	proc.KeepFromChildren(lifeFD)
	out := os.NewFile(wordFD, "word")
	data, err := json.Marshal(keep(args[3:], os.NewFile(lifeFD, "life"), limit))
	if err == nil {
		_, err = out.Write(data)
	}
	if err != nil {
		return 1, true
	}
	return 0, true
}

func isPipe(fd int) bool {
	var st unix.Stat_t
	return unix.Fstat(fd, &st) == nil && st.Mode&unix.S_IFMT == unix.S_IFIFO
}

// keep runs a program and stays until it and its descendants are dead.
func keep(words []string, life io.Reader, limit time.Duration) word {
	runtime.LockOSThread() // the program's Pdeathsig is about this thread (prctl(2))
	if err := ownProc(); err != nil {
		return word{Error: "it was not run: " + err.Error()}
	}
	if err := unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0); err != nil {
		return word{Error: "it was not run: keeping what it starts together: " + err.Error()}
	}
	deaths, ends := make(chan os.Signal, 1), make(chan os.Signal, 1)
	signal.Notify(deaths, syscall.SIGCHLD)
	signal.Notify(ends, syscall.SIGTERM, syscall.SIGINT, syscall.SIGHUP)
	defer signal.Stop(deaths)
	defer signal.Stop(ends)
	p, err := os.StartProcess(words[0], words, &os.ProcAttr{
		Dir: "/", Env: os.Environ(), Files: []*os.File{os.Stdin, os.Stdout, os.Stderr},
		Sys: &syscall.SysProcAttr{Setsid: true, Pdeathsig: syscall.SIGKILL},
	})
	if err != nil {
		return word{Error: unwrapped(err).Error()}
	}
	k := &keeper{program: p.Pid}
	over := make(chan struct{})
	go func() {
		_, _ = io.Copy(io.Discard, life)
		close(over)
	}()
	return k.until(over, deaths, ends, time.After(limit))
}

// unwrapped leaves "fork/exec PROGRAM" out: the probe says which program.
func unwrapped(err error) error {
	var about *os.PathError
	if errors.As(err, &about) {
		return about.Err
	}
	return err
}

// keeper is what is known of the program.
type keeper struct {
	program int
	said    word
	killing bool
	late    time.Time // when killing is given up
}

// until waits for the program, kills what is left of it, and reaps all of them.
func (k *keeper) until(over <-chan struct{}, deaths, ends <-chan os.Signal, limit <-chan time.Time) word {
	again := time.NewTicker(time.Hour)
	defer again.Stop()
	for {
		if k.reap() {
			return k.said
		}
		if k.killing {
			left := k.kill()
			again.Reset(killPause)
			if time.Now().After(k.late) {
				k.said.Left = named(left)
				return k.said
			}
		}
		select {
		case <-deaths:
		case <-again.C:
		case <-over:
			over = nil
			k.begin()
		case <-limit:
			k.begin()
		case <-ends:
			k.begin()
		}
	}
}

// begin begins to kill.
func (k *keeper) begin() {
	if !k.killing {
		k.killing, k.late = true, time.Now().Add(killTime)
	}
}

// reap takes the dead away, and says whether nobody is left.
func (k *keeper) reap() (none bool) {
	for {
		var status syscall.WaitStatus
		pid, err := syscall.Wait4(-1, &status, syscall.WNOHANG, nil)
		switch {
		case errors.Is(err, syscall.EINTR):
		case err != nil: // ECHILD
			return true
		case pid == 0:
			return false
		case pid == k.program:
			k.said.Status = uint32(status)
			k.begin()
		}
	}
}

// kill kills the keeper's own children: their numbers cannot have become somebody
// else's, for only the keeper reaps them. Theirs are its own next.
func (k *keeper) kill() []int {
	left := children(os.Getpid())
	for _, pid := range left {
		_ = syscall.Kill(pid, syscall.SIGKILL)
	}
	return left
}
