package qemu

import (
	"bufio"
	"bytes"
	"debug/elf"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// module is a kernel module of the package, as its .modinfo section says it
// (MODULE_INFO, include/linux/module.h).
type module struct {
	name    string
	file    string // plain, not compressed
	needs   []string
	aliases []string
}

// modulesOf reads all modules below dir; compressed ones are unpacked into temp.
func modulesOf(t *testing.T, dir, temp string) []module {
	t.Helper()
	var out []module
	err := filepath.WalkDir(dir, func(file string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() || !wanted(strings.TrimPrefix(file, dir)) {
			return err
		}
		m, err := readModule(file, temp)
		if err == nil {
			out = append(out, m)
		}
		return err
	})
	if err != nil || len(out) < 100 {
		t.Fatalf("%d modules below %s: %v", len(out), dir, err)
	}
	return out
}

// wanted leaves out the modules of devices that the machine does not have.
func wanted(file string) bool {
	if !strings.Contains(path.Base(file), ".ko") {
		return false
	}
	for _, folder := range []string{"/net/", "/lib/", "/crypto/", "/arch/x86/crypto/", "/drivers/net/"} {
		if rest, ok := strings.CutPrefix(file, folder); ok {
			return folder != "/drivers/net/" || !strings.Contains(rest, "/") || strings.HasPrefix(rest, "ipvlan/") || strings.HasPrefix(rest, "wireguard/")
		}
	}
	return false
}

func readModule(file, temp string) (module, error) {
	name, packed := strings.CutSuffix(path.Base(file), ".xz")
	m := module{name: strings.ReplaceAll(strings.TrimSuffix(name, ".ko"), "-", "_"), file: file}
	if packed {
		m.file = filepath.Join(temp, name)
		b, err := exec.Command("xz", "-dc", file).Output()
		if err := errors.Join(err, os.WriteFile(m.file, b, 0o600)); err != nil {
			return m, fmt.Errorf("unpacking %s: %w", file, err)
		}
	}
	f, err := elf.Open(m.file)
	if err != nil {
		return m, err
	}
	defer f.Close()
	section := f.Section(".modinfo")
	if section == nil {
		return m, fmt.Errorf("%s has no .modinfo", file)
	}
	b, err := section.Data()
	for _, entry := range strings.Split(string(b), "\x00") {
		switch key, value, _ := strings.Cut(entry, "="); {
		case key == "depends" && value != "":
			m.needs = append(m.needs, strings.Split(strings.ReplaceAll(value, "-", "_"), ",")...)
		case key == "alias":
			m.aliases = append(m.aliases, value)
		}
	}
	return m, err
}

// moduleList is where the guest finds what modprobe(8) takes from modules.dep
// and modules.alias: lines of "module NAME NEED…" and "alias PATTERN NAME".
const moduleList = "/lib/modules/natwarden.list"

func listing(all []module) string {
	var b strings.Builder
	for _, m := range all {
		fmt.Fprintln(&b, "module", m.name, strings.Join(m.needs, " "))
		for _, alias := range m.aliases {
			fmt.Fprintln(&b, "alias", alias, m.name)
		}
	}
	return b.String()
}

// loader loads modules in the guest.
type loader struct {
	needs   map[string][]string
	aliases [][2]string
}

func newLoader() (loader, error) {
	l := loader{needs: map[string][]string{}}
	text, err := os.ReadFile(moduleList)
	for lines := bufio.NewScanner(bytes.NewReader(text)); lines.Scan(); {
		switch words := strings.Fields(lines.Text()); words[0] {
		case "module":
			l.needs[words[1]] = words[2:]
		case "alias":
			l.aliases = append(l.aliases, [2]string{words[1], words[2]})
		}
	}
	return l, err
}

// load loads what a name or alias stands for, and before it what it needs.
func (l loader) load(name string) error {
	name = strings.ReplaceAll(name, "-", "_")
	if _, known := l.needs[name]; known {
		return l.insert(name)
	}
	err := fmt.Errorf("%s is no module and no alias", name)
	for _, a := range l.aliases {
		if ok, _ := path.Match(strings.ReplaceAll(a[0], "-", "_"), name); ok {
			err = l.insert(a[1])
		}
	}
	return err
}

func (l loader) insert(name string) error {
	for _, need := range l.needs[name] {
		if err := l.insert(need); err != nil {
			return err
		}
	}
	f, err := os.Open("/lib/modules/" + name + ".ko")
	if err != nil {
		return err
	}
	defer f.Close()
	if err := unix.FinitModule(int(f.Fd()), "", 0); err != nil && !errors.Is(err, unix.EEXIST) {
		return fmt.Errorf("loading %s: %w", name, err)
	}
	return nil
}

// modprobe is what the kernel calls to load a module: modprobe -q -- NAME.
func modprobe(args []string) error {
	l, err := newLoader()
	if err != nil {
		return err
	}
	for _, arg := range args {
		if !strings.HasPrefix(arg, "-") {
			err = errors.Join(err, l.load(arg))
		}
	}
	return err
}
