package policy

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// place is a folder with a good policy in it.
func place(t *testing.T) (dir, file string) {
	t.Helper()
	dir = t.TempDir()
	file = filepath.Join(dir, "policy.yaml")
	if err := os.WriteFile(file, []byte("version: 1\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	return dir, file
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func TestLoadReadsWhatOnlyRootCanWrite(t *testing.T) {
	dir, file := place(t)
	sticky := filepath.Join(dir, "sticky")
	must(t, os.Mkdir(sticky, 0o700))
	link := filepath.Join(dir, "link")
	must(t, os.Symlink("policy.yaml", link))
	folder := filepath.Join(dir, "folder")
	must(t, os.Symlink(dir, folder))
	for _, path := range []string{file, link, filepath.Join(folder, "link"), filepath.Join(sticky, "..", ".", "policy.yaml")} {
		p, err := Load(path)
		if err != nil || p.Path != path || len(p.SHA256) != 64 {
			t.Errorf("%s: %v", path, err)
		}
	}
	t.Chdir(dir)
	if _, err := Load("policy.yaml"); err != nil {
		t.Errorf("relative: %v", err)
	}
}

func TestLoadTakesAStickyFolderOfRoots(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root: only a sticky folder that root owns is trusted")
	}
	dir, file := place(t)
	must(t, os.Chmod(dir, os.ModeSticky|0o777))
	if _, err := Load(file); err != nil {
		t.Error(err)
	}
	must(t, os.Chown(dir, 1234, 1234))
	if _, err := Load(file); err == nil {
		t.Error("a sticky folder of another user's is taken")
	}
}

func TestLoadRefusesWhatOthersCanChange(t *testing.T) {
	cases := []struct {
		name string
		make func(t *testing.T, dir, file string) (path string)
		want string
	}{
		{"file for the group", func(t *testing.T, dir, file string) string {
			must(t, os.Chmod(file, 0o620))
			return file
		}, "chmod go-w"},
		{"file for all", func(t *testing.T, dir, file string) string {
			must(t, os.Chmod(file, 0o602))
			return file
		}, "(mode 0602): chmod go-w"},
		{"folder for the group", func(t *testing.T, dir, file string) string {
			must(t, os.Chmod(dir, 0o770))
			return file
		}, "chmod go-w"},
		{"file in a sticky folder, but for all", func(t *testing.T, dir, file string) string {
			must(t, os.Chmod(dir, os.ModeSticky|0o777))
			must(t, os.Chmod(file, 0o666))
			return file
		}, "chmod go-w"},
		{"link in an open folder", func(t *testing.T, dir, file string) string {
			open := filepath.Join(dir, "open")
			must(t, os.Mkdir(open, 0o700))
			must(t, os.Symlink(file, filepath.Join(open, "link")))
			must(t, os.Chmod(open, 0o777))
			return filepath.Join(open, "link")
		}, "open can be written by others"},
		{"link into an open folder", func(t *testing.T, dir, file string) string {
			open := filepath.Join(dir, "open")
			must(t, os.Mkdir(open, 0o700))
			must(t, os.Rename(file, filepath.Join(open, "policy.yaml")))
			must(t, os.Symlink("open/policy.yaml", file))
			must(t, os.Chmod(open, 0o777))
			return file
		}, "open can be written by others"},
		{"a loop of links", func(t *testing.T, dir, file string) string {
			must(t, os.Symlink("loop", filepath.Join(dir, "loop")))
			return filepath.Join(dir, "loop")
		}, "too many levels"},
		{"a folder", func(t *testing.T, dir, file string) string { return dir }, "no regular file"},
		{"a pipe", func(t *testing.T, dir, file string) string {
			must(t, unix.Mkfifo(filepath.Join(dir, "pipe"), 0o600))
			return filepath.Join(dir, "pipe")
		}, "no regular file"},
		{"a file below a file", func(t *testing.T, dir, file string) string { return file + "/policy.yaml" }, "not a directory"},
		{"too large", func(t *testing.T, dir, file string) string {
			must(t, os.Truncate(file, MaxSize+1))
			return file
		}, "larger than 1 MiB"},
		{"not there", func(t *testing.T, dir, file string) string { return file + ".not" }, "no such file"},
	}
	for _, c := range cases {
		dir, file := place(t)
		path := c.make(t, dir, file)
		p, err := Load(path)
		if p != nil || !errors.Is(err, ErrPolicy) || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), path) {
			t.Errorf("%s: %v, want an error with %q", c.name, err, c.want)
		}
		if errors.Is(err, fs.ErrNotExist) != (c.name == "not there") {
			t.Errorf("%s: not there? %v", c.name, err)
		}
	}
}

func TestLoadRefusesWhatBelongsToOthers(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root: only root can give a file away")
	}
	for name, give := range map[string]func(dir, file string) (string, error){
		"file":   func(dir, file string) (string, error) { return file, os.Chown(file, 1234, 0) },
		"folder": func(dir, file string) (string, error) { return file, os.Chown(dir, 1234, 0) },
		"link": func(dir, file string) (string, error) {
			link := filepath.Join(dir, "link")
			return link, errors.Join(os.Symlink(file, link), os.Lchown(link, 1234, 0))
		},
	} {
		path, err := give(place(t))
		must(t, err)
		if _, err := Load(path); !errors.Is(err, ErrPolicy) || !strings.Contains(err.Error(), "belongs to uid 1234") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestLoadNamesEveryMistake(t *testing.T) {
	_, file := place(t)
	must(t, os.WriteFile(file, []byte("version: 2\nfoo: 1\n"), 0o600))
	_, err := Load(file)
	var all Errors
	if !errors.As(err, &all) || len(all) != 2 || !errors.Is(err, ErrPolicy) || !strings.HasPrefix(err.Error(), file+":1:10: ") {
		t.Error(err)
	}
}
