// Package binaries says which programs of iptables are installed and which
// subsystem of the kernel each writes to, for `natwarden version -v` and for
// advice. It asks the programs for nothing but their version; natwarden
// neither reads nor changes rules through them.
//
// natwarden is a program, not a library; the package is internal on purpose.
package binaries

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/coreos/go-iptables/iptables"
)

// Binary is an installed program of iptables.
type Binary struct {
	Path    string // as it is called: /usr/sbin/iptables
	Program string // what it is behind all links: /usr/sbin/xtables-nft-multi
	Version string // "1.8.9"; "" where it could not be asked
	Backend string // nf_tables or x_tables; "" where that cannot be told
	Why     string // what went wrong; "" for nothing
}

// patience is how long one program may take to say its version.
const patience = 5 * time.Second

// folders are where distributions install the programs. PATH is not asked: it
// is the caller's.
var folders = []string{"/usr/sbin", "/sbin", "/usr/local/sbin"}

// names are the programs, IPv4 and IPv6.
var names = []string{"iptables", "iptables-legacy", "iptables-nft", "ip6tables", "ip6tables-legacy", "ip6tables-nft"}

// Installed lists the programs of iptables on this host, in a fixed order. A
// program that fails is in the list, with the reason.
func Installed(ctx context.Context) []Binary { return installed(ctx, folders) }

func installed(ctx context.Context, folders []string) []Binary {
	var found []Binary
	seen := map[string]bool{}
	for _, folder := range folders {
		real, err := filepath.EvalSymlinks(folder) // /sbin is often /usr/sbin
		if err != nil || seen[real] {
			continue
		}
		seen[real] = true
		for _, name := range names {
			path := filepath.Join(folder, name)
			if _, err := os.Lstat(path); err == nil {
				found = append(found, ask(ctx, path))
			}
		}
	}
	return found
}

// ask looks at one program.
func ask(ctx context.Context, path string) Binary {
	b := Binary{Path: path}
	program, err := filepath.EvalSymlinks(path)
	if err != nil {
		b.Why = fmt.Sprintf("following %s: %v", path, err)
		return b
	}
	b.Program = program
	major, minor, patch, err := version(ctx, path)
	if err != nil {
		b.Why = fmt.Sprintf("asking %s for its version: %v", path, err)
	} else {
		b.Version = fmt.Sprintf("%d.%d.%d", major, minor, patch)
	}
	switch base := filepath.Base(program); {
	case strings.Contains(base, "nft"):
		b.Backend = "nf_tables"
	case strings.Contains(base, "legacy"), err == nil && (major < 1 || major == 1 && minor < 8):
		b.Backend = "x_tables" // before 1.8 there was no other
	}
	return b
}

// version runs "PATH --version", for at most patience: go-iptables waits for
// ever, so a program that hangs is left behind.
func version(ctx context.Context, path string) (major, minor, patch int, err error) {
	ctx, stop := context.WithTimeout(ctx, patience)
	defer stop()
	type answer struct {
		ipt *iptables.IPTables
		err error
	}
	done := make(chan answer, 1)
	go func() {
		ipt, err := iptables.New(iptables.Path(path), iptables.Timeout(1))
		done <- answer{ipt, err}
	}()
	select {
	case <-ctx.Done():
		return 0, 0, 0, errors.New("it does not answer")
	case a := <-done:
		if a.err != nil {
			return 0, 0, 0, a.err
		}
		major, minor, patch = a.ipt.GetIptablesVersion()
		return major, minor, patch, nil
	}
}
