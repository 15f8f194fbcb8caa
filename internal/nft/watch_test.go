package nft

import (
	"context"
	"fmt"
	"os/exec"
	"strings"
	"testing"

	"github.com/natwarden/natwarden/internal/lab/labtest"
)

// A commit of another process is heard as soon as it is counted, without
// waiting; our own is not.
func TestWatchHearsAtOnce(t *testing.T) {
	s := labtest.New(t, "nft")
	s.MustRun(t, "table ip t { chain c { }; }", "nft", "-f", "-")
	s.MustDo(t, func(ctx context.Context) error {
		w, err := NewWatch()
		if err != nil {
			return err
		}
		defer w.Close()
		if by := w.Changers(); len(by) > 0 {
			t.Errorf("before anybody wrote: %q", by)
		}
		for i := range 5 {
			cmd := exec.CommandContext(ctx, "nft", "add", "rule", "ip", "t", "c", "accept")
			if out, err := cmd.CombinedOutput(); err != nil {
				return fmt.Errorf("%w: %s", err, out)
			}
			by := w.Changers()
			if want := fmt.Sprintf("(pid %d)", cmd.Process.Pid); len(by) != i+1 || !strings.HasPrefix(by[i], "nft ") || !strings.Contains(by[i], want) {
				t.Errorf("after commit %d by %s: %q", i+1, want, by)
			}
		}
		return nil
	})
}
