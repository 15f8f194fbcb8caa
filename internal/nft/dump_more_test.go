package nft

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/natwarden/natwarden/internal/lab/labtest"
)

func TestADumpIsOfOneGeneration(t *testing.T) {
	s := labtest.New(t, "nft")
	s.MustRun(t, "table ip t { chain a { }; chain b { }; set s { type mark; }; }", "nft", "-f", "-")
	ctx, stop := context.WithTimeout(t.Context(), time.Minute) // a busy machine needs long for enough commits
	defer stop()
	var commits atomic.Int32
	done := make(chan struct{})
	go func() { defer close(done); churn(ctx, s, &commits) }()
	whole := 0
	for began := time.Now(); ctx.Err() == nil && (commits.Load() < 5 || whole < 5 || time.Since(began) < 700*time.Millisecond); {
		var d *Dump
		err := s.Do(context.Background(), func(ctx context.Context) (err error) {
			d, err = Read(ctx, Options{})
			return err
		})
		if err != nil {
			if !strings.Contains(err.Error(), "kept changing") {
				t.Fatal(err)
			}
			continue
		}
		whole++
		a, b, n := len(d.Tables[0].Chains[0].Rules), len(d.Tables[0].Chains[1].Rules), len(d.Tables[0].Sets[0].Elements)
		if a != b || a != n {
			t.Errorf("a torn dump: %d and %d rules, %d elements", a, b, n)
		}
	}
	stop()
	<-done
	if commits.Load() < 5 || whole < 5 {
		t.Errorf("%d commits, %d whole dumps: too few to show anything", commits.Load(), whole)
	}
}

// churn commits batches that give two chains and a set equally many members, and
// counts them.
func churn(ctx context.Context, s labtest.Space, commits *atomic.Int32) {
	for n := 0; ctx.Err() == nil; n++ {
		var b strings.Builder
		b.WriteString("flush chain ip t a\nflush chain ip t b\nflush set ip t s\n")
		for i := range 50 + n%50 {
			fmt.Fprintf(&b, "add rule ip t a mark %d accept\nadd rule ip t b mark %d accept\nadd element ip t s { %d }\n", i, i, i)
		}
		if _, err := s.Run(ctx, b.String(), "nft", "-f", "-"); err == nil {
			commits.Add(1)
		}
		time.Sleep(10 * time.Millisecond)
	}
}

func TestManyRulesAreReadWhole(t *testing.T) {
	s := labtest.New(t, "nft")
	var b strings.Builder
	b.WriteString("table ip t {\n")
	for c := range 300 {
		fmt.Fprintf(&b, "chain c%d {\n", c)
		for i := range 10 {
			fmt.Fprintf(&b, "mark %d accept\n", c*10+i)
		}
		b.WriteString("}\n")
	}
	b.WriteString("}\n")
	s.MustRun(t, b.String(), "nft", "-f", "-")
	d := read(t, s, Options{})
	seen := map[string]bool{}
	for _, c := range d.Tables[0].Chains {
		if len(c.Rules) != 10 {
			t.Fatalf("chain %s has %d rules, want 10", c.Name, len(c.Rules))
		}
		for _, r := range c.Rules {
			seen[string(r.Exprs)] = true
		}
	}
	if len(seen) != 3000 {
		t.Errorf("%d different rules, want 3000", len(seen))
	}
}

func TestGenerationMovesWithACommitOnly(t *testing.T) {
	s := labtest.New(t, "nft")
	generation := func() (g uint32) {
		s.MustDo(t, func(ctx context.Context) (err error) {
			g, err = Generation(ctx)
			return err
		})
		return g
	}
	first := generation()
	read(t, s, Options{Objects: true})
	if again := generation(); again != first {
		t.Errorf("reading moved the generation from %d to %d", first, again)
	}
	s.MustRun(t, "", "nft", "add", "table", "ip", "t")
	if again := generation(); again == first {
		t.Error("a commit did not move the generation")
	}
}

func TestReadingObeysItsContext(t *testing.T) {
	s := labtest.New(t)
	err := s.Do(context.Background(), func(context.Context) error {
		ctx, stop := context.WithCancel(context.Background())
		stop()
		_, err := Read(ctx, Options{})
		return err
	})
	if err == nil {
		t.Error("reading went on after its context had ended")
	}
}

func TestLoadedAsksWithoutLoading(t *testing.T) {
	const builtin = "kernel/net/netfilter/nf_tables.ko\n"
	for _, c := range []struct {
		name  string
		files map[string]string
		want  bool
	}{
		{"not modular", nil, true},
		{"module loaded", map[string]string{"proc/modules": "x 1 0 - Live 0x0\nnf_tables 311296 0 - Live 0x0\n"}, true},
		{"module not loaded", map[string]string{"proc/modules": "nf_tables_set 1 0\n", "lib/modules/6.1/modules.builtin": "kernel/fs/ext4.ko\n"}, false},
		{"built in", map[string]string{"proc/modules": "", "lib/modules/6.1/modules.builtin": "kernel/fs/ext4.ko\n" + builtin}, true},
		{"built in with parameters", map[string]string{"proc/modules": "", "sys/module/nf_tables": ""}, true},
		{"in a container, built in", map[string]string{"proc/modules": "", "proc/kallsyms": "0000 T nft_register_expr\n"}, true},
		{"in a container, not loaded", map[string]string{"proc/modules": "", "proc/kallsyms": "0000 T printk\n"}, false},
		{"nothing to tell", map[string]string{"proc/modules": ""}, true},
	} {
		root := t.TempDir() + "/"
		for path, text := range c.files {
			if err := os.MkdirAll(filepath.Dir(root+path), 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(root+path, []byte(text), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		if got := loadedUnder(root, "6.1"); got != c.want {
			t.Errorf("%s: %v, want %v", c.name, got, c.want)
		}
	}
}
