package relay

import (
	"errors"
	"fmt"
	"io"
	"path"
	"strings"

	"golang.org/x/sys/unix"
)

const (
	maxNames = 10_000 // that are read of a folder
	maxGlob  = 1_000  // files that a pattern may stand for
)

// list gives the names in a directory of the process.
func (p *program) list(dir string) ([]string, error) {
	f, err := p.open(dir, unix.O_RDONLY|unix.O_DIRECTORY)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	names, err := f.Readdirnames(maxNames)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("listing %s of process %d: %w", dir, p.pid, err)
	}
	return names, nil
}

// glob expands a pattern as the shell does: wildcards in any element, sorted.
// A folder that is not there holds nothing.
func (p *program) glob(pattern string) ([]string, error) {
	if !strings.ContainsAny(pattern, "*?[") {
		return []string{pattern}, nil
	}
	found := []string{""}
	if path.IsAbs(pattern) {
		found = []string{"/"}
	}
	for _, element := range strings.Split(strings.Trim(pattern, "/"), "/") {
		var err error
		if found, err = p.globElement(found, element); err != nil {
			return nil, err
		}
	}
	return sorted(found), nil
}

func (p *program) globElement(dirs []string, element string) ([]string, error) {
	var out []string
	for _, dir := range dirs {
		if !strings.ContainsAny(element, "*?[") {
			out = append(out, path.Join(dir, element))
			continue
		}
		names, err := p.list(orDot(dir))
		if errors.Is(err, unix.ENOENT) || errors.Is(err, errNotRegular) || errors.Is(err, unix.ENOTDIR) {
			continue
		}
		if err != nil {
			return nil, err
		}
		for _, name := range names {
			hidden := strings.HasPrefix(name, ".") && !strings.HasPrefix(element, ".")
			if ok, err := path.Match(element, name); err == nil && ok && !hidden {
				out = append(out, path.Join(dir, name))
			}
		}
		if len(out) > maxGlob {
			return nil, fmt.Errorf("a pattern of the configuration stands for more than %d files", maxGlob)
		}
	}
	return out, nil
}

func orDot(dir string) string {
	if dir == "" {
		return "."
	}
	return dir
}

// configs reads a file, or the files of a folder that fit the pattern.
func (p *program) configs(name, pattern string) ([]string, error) {
	names := []string{name}
	if listed, err := p.list(name); err == nil {
		names = nil
		for _, n := range sorted(listed) {
			if ok, err := path.Match(pattern, n); err == nil && ok {
				names = append(names, path.Join(name, n))
			}
		}
	}
	var out []string
	for _, n := range names {
		b, err := p.readFile(n)
		if err != nil {
			return nil, err
		}
		out = append(out, string(b))
	}
	return out, nil
}
