package doubt

import (
	"slices"
	"strings"
	"testing"
)

func TestTaints(t *testing.T) {
	for text, want := range map[string]string{
		"0\n": "", "1\n": "", "512\n": "", // a proprietary module of the distribution, a warning: nothing that hides
		"4096\n":  "a module from outside",
		"12288\n": "a module from outside|without a valid signature",
		"2\n":     "loaded by force", "32768\n": "patched",
		"x": "not understood", "": "not understood", "-1": "not understood",
	} {
		got := strings.Join(taintsOf(text), "|")
		for _, part := range strings.Split(want, "|") {
			if !strings.Contains(got, part) || want == "" && got != "" {
				t.Errorf("%q: %q, want %q", text, got, want)
			}
		}
	}
}

func TestMountsOverProc(t *testing.T) {
	const proc = "22 27 0:21 / /proc rw,relatime - proc proc rw\n"
	for name, c := range map[string]struct {
		mounts string
		want   []string
	}{
		"the usual":           {proc + "23 22 0:22 / /proc/sys/fs/binfmt_misc rw - binfmt_misc binfmt_misc rw\n24 1 0:3 / /processes rw - ext4 x rw\n", nil},
		"over a process":      {proc + "30 22 0:9 / /proc/4711 rw,relatime shared:1 - tmpfs none rw\n", []string{"tmpfs is mounted over /proc/4711"}},
		"over tables":         {proc + "30 22 254:0 /x /proc/net rw - ext4 /dev/vda rw\n", []string{"ext4 is mounted over /proc/net"}},
		"another file system": {"30 22 0:9 / /proc rw - fuse.x x rw\n", []string{"fuse.x is mounted over /proc"}},
		"twice":               {proc + proc, nil},
		"hidden processes":    {"22 27 0:21 / /proc rw,relatime - proc proc rw,hidepid=invisible\n", []string{"/proc is mounted with hidepid"}},
		"torn":                {"22 27\n - \n", nil},
	} {
		if got := mountsOver(strings.NewReader(c.mounts)); !slices.Equal(got, c.want) {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
	}
}

func FuzzMounts(f *testing.F) {
	f.Add("22 27 0:21 / /proc rw,relatime - proc proc rw\n", "4096")
	f.Fuzz(func(_ *testing.T, mounts, taint string) {
		mountsOver(strings.NewReader(mounts))
		taintsOf(taint)
	})
}
