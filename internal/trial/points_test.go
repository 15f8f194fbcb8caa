//go:build amd64

package trial

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/natwarden/natwarden/internal/lab/fault"
)

// What envFaults says is tried: "all" is every fault at every point, "points"
// one fault at every point, another from point to point, a fault's name that
// fault at every point; otherwise it is another at every so manieth point.
const envFaults = "NATWARDEN_FAULTS"

// chosen says whether the n-th fault is tried at the i-th point of a phase.
func chosen(phase, stride, i, n int) bool {
	switch what := os.Getenv(envFaults); what {
	case "all", faults[n].name:
		return true
	case "points":
		return n == (i*3+phase)%len(faults)
	}
	if os.Getenv(envFaults) != "" {
		return false
	}
	return i%stride == phase%stride && n == (i/stride*3+phase)%len(faults)
}

// envShared names a folder in which the shards share the points and the work.
const envShared = "NATWARDEN_TRIAL_SHARED"

func shard(t *testing.T) int {
	t.Helper()
	n, err := strconv.Atoi(os.Getenv(envShard))
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// wanted says whether a phase is on trial in this run.
func wanted(p *phase) bool {
	only := os.Getenv("NATWARDEN_FAULTS_PHASE")
	return only == "" || only == p.name
}

func pointsFile(p *phase) string {
	return filepath.Join(os.Getenv(envShared), strings.ReplaceAll(p.name, " ", "-")+".json")
}

func writePoints(t *testing.T, p *phase, points []fault.Call) {
	t.Helper()
	text, err := json.Marshal(points)
	if err := errors.Join(err, os.WriteFile(pointsFile(p), text, 0o600)); err != nil {
		t.Fatal(err)
	}
	fmt.Printf("FIGURE points:%s %d\n", strings.ReplaceAll(p.name, " ", "-"), len(points))
}

// job is one fault at one point.
type job struct {
	phase *phase
	at    fault.Call
	fault int // of faults
}

// jobsOf lists what is tried in a world, in the same order in every shard.
func jobsOf(t *testing.T, w *world) (out []job) {
	t.Helper()
	for number, p := range w.phases {
		if !wanted(p) {
			continue
		}
		text, err := os.ReadFile(pointsFile(p))
		var points []fault.Call
		if err := errors.Join(err, json.Unmarshal(text, &points)); err != nil {
			t.Fatal(err)
		}
		for i, at := range points {
			for n := range faults {
				if chosen(number, p.stride, i, n) {
					out = append(out, job{p, at, n})
				}
			}
		}
	}
	return out
}

// takeJob gives the number of a job that no other shard has.
func takeJob(t *testing.T, world string) int {
	t.Helper()
	f, err := os.OpenFile(filepath.Join(os.Getenv(envShared), world+".next"), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX); err != nil { // it ends with f
		t.Fatal(err)
	}
	text, err := io.ReadAll(f)
	n, _ := strconv.Atoi(string(text)) // nobody was here: 0
	if err == nil {
		_, err = f.WriteAt([]byte(strconv.Itoa(n+1)), 0)
	}
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// pointList is what a tracer has seen so far: descendants are traced, and add
// to it, after the run itself has ended.
type pointList struct {
	mu   sync.Mutex
	list []fault.Call
}

func (p *pointList) add(c fault.Call) {
	if c.Name == "bpf" && onlyReads[c.Object] && c.Nth > 3 {
		return // each program and map of the machine is asked for in turn
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.list = append(p.list, c)
}

// onlyReads are the commands of bpf(2) that change nothing (enum bpf_cmd,
// linux/bpf.h): BPF_OBJ_GET, those that list, open or show what there is.
var onlyReads = map[string]bool{"7": true, "11": true, "12": true, "13": true, "14": true, "15": true, "16": true, "23": true, "30": true, "31": true}

func (p *pointList) all() []fault.Call {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.list)
}
