package qemu

import (
	"bufio"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"strings"
	"testing"
)

// programs are those of this machine that the guest has as well.
var programs = []string{"ip", "tc", "nft", "iptables-legacy", "ip6tables-legacy", "xtables-nft-multi", "xtables-legacy-multi", "iptables", "iptables-nft", "ip6tables",
	"iptables-nft-restore", "iptables-nft-save", "ip6tables-nft", "ip6tables-nft-restore", "ip6tables-nft-save", "iptables-legacy-save", "iptables-legacy-restore",
	"ip6tables-legacy-save", "ip6tables-legacy-restore", "iptables-save", "iptables-restore", "ip6tables-save", "ip6tables-restore", "ebtables-nft", "arptables-nft",
	"ipvsadm", "sysctl", "conntrack", "sh", "ipset", "cat", "sleep", "unshare", "true"}

// packages are those whose tests run in the guest as well; the variable names others.
func packages() []string {
	if list, set := os.LookupEnv("NATWARDEN_GUEST_PACKAGES"); set {
		return strings.Fields(list)
	}
	return []string{"internal/ipvs", "internal/ipvs/edit", "internal/tc", "internal/tc/edit", "internal/bpf", "internal/bpf/edit", "internal/present",
		"internal/sock", "internal/flow", "internal/netns"}
}

// imageOf packs the guest's file system.
func imageOf(t *testing.T, kernel kernel, built string) string {
	t.Helper()
	out := filepath.Join(t.TempDir(), "image")
	f, err := os.Create(out)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	a := newArchive(f)
	for _, dir := range []string{"proc", "sys", "dev", "tmp", "run", "root", "etc", "var/tmp"} {
		a.dir(dir)
	}
	libs := libraries{a, map[string]bool{}}
	libs.program(t, "/init", filepath.Join(built, "qemu"))
	a.link("/sbin/modprobe", "/init")
	libs.program(t, "/usr/bin/natwarden", filepath.Join(built, "natwarden"))
	for _, p := range packages() {
		name := strings.ReplaceAll(strings.TrimPrefix(p, "internal/"), "/", "-")
		libs.program(t, "/tests/"+name+"/"+path.Base(p)+".test", filepath.Join(built, name))
		a.tree(t, "/tests/"+name+"/testdata", filepath.Join(root, p, "testdata"))
	}
	for _, program := range programs {
		libs.tool(t, program)
	}
	for _, plugins := range []string{"/usr/lib/x86_64-linux-gnu/xtables", "/usr/lib/tc", "/etc/iproute2"} {
		a.tree(t, plugins, plugins)
	}
	for _, file := range []string{"/etc/protocols", "/etc/services", "/etc/ethertypes"} {
		if _, err := os.Stat(file); err == nil {
			a.file(file, file)
		}
	}
	a.text("/etc/passwd", "root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/:/bin/false\n")
	a.text("/etc/group", "root:x:0:\nnogroup:x:65534:\n")
	modules := modulesOf(t, kernel.modules+"/kernel", t.TempDir())
	a.text(moduleList, listing(modules))
	for _, m := range modules {
		a.file("/lib/modules/"+m.name+".ko", m.file)
	}
	a.file("/lib/modules/"+kernel.release+"/modules.builtin", kernel.modules+"/modules.builtin")
	if err := a.close(); err != nil {
		t.Fatal(err)
	}
	return out
}

// tree copies a folder of this machine; one that is not there is left out.
func (a *archive) tree(t *testing.T, to, from string) {
	t.Helper()
	_ = filepath.WalkDir(from, func(file string, d os.DirEntry, err error) error {
		if info, broken := os.Stat(file); err == nil && broken == nil && info.Mode().IsRegular() { // by a link as well
			a.file(to+strings.TrimPrefix(file, from), file)
		}
		return nil
	})
}

// libraries copies programs with what they are linked to.
type libraries struct {
	a    *archive
	done map[string]bool
}

func (l libraries) tool(t *testing.T, name string) {
	t.Helper()
	from, err := exec.LookPath(name)
	if err != nil {
		t.Fatalf("the guest needs %s: %v", name, err)
	}
	real, err := filepath.EvalSymlinks(from)
	if err != nil {
		t.Fatal(err)
	}
	base := path.Base(real)
	if base != name {
		l.a.link("/usr/bin/"+name, base)
	}
	l.program(t, "/usr/bin/"+base, real)
}

func (l libraries) program(t *testing.T, to, from string) {
	t.Helper()
	if l.done[to] {
		return
	}
	l.done[to] = true
	l.a.file(to, from)
	out, err := exec.Command("ldd", from).Output()
	if err != nil {
		return // it is linked to nothing
	}
	for lines := bufio.NewScanner(strings.NewReader(string(out))); lines.Scan(); {
		for _, word := range strings.Fields(lines.Text()) {
			if strings.HasPrefix(word, "/") && !l.done[word] {
				l.done[word] = true
				l.a.file(word, word)
			}
		}
	}
}

// kernel is one of Debian's, as its package was unpacked.
type kernel struct{ release, image, modules string }

// kernelsIn finds the kernels in the folders that the variable names.
func kernelsIn(t *testing.T, list string) []kernel {
	t.Helper()
	var out []kernel
	for _, dir := range filepath.SplitList(list) {
		images, _ := filepath.Glob(filepath.Join(dir, "boot", "vmlinuz-*"))
		for _, image := range images {
			release := strings.TrimPrefix(path.Base(image), "vmlinuz-")
			modules := filepath.Join(dir, "lib/modules", release)
			if _, err := os.Stat(modules); err != nil {
				modules = filepath.Join(dir, "usr/lib/modules", release)
			}
			out = append(out, kernel{release, image, modules})
		}
	}
	if len(out) == 0 {
		t.Fatalf("%s=%s holds no kernel: want DIR/boot/vmlinuz-RELEASE and DIR/lib/modules/RELEASE", kernelsVariable, list)
	}
	return out
}
