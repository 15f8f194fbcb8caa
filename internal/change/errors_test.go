package change

import (
	"errors"
	"fmt"
	"strings"
	"testing"
)

// Whoever gets an ErrStale takes the host for untouched and undoes nothing.
func TestHalfAnEditIsNeverStale(t *testing.T) {
	stale := fmt.Errorf("it holds another program: %w", ErrStale)
	if err := Half(stale, nil); !errors.Is(err, ErrStale) {
		t.Errorf("all was undone, and it is not stale: %v", err)
	}
	for _, undone := range []error{errors.New("the kernel says no"), stale, ErrBusy} {
		err := Half(stale, undone)
		if errors.Is(err, ErrStale) || errors.Is(err, ErrBusy) {
			t.Errorf("half of it is carried out, and it says that nothing happened: %v", err)
		}
		if !strings.Contains(err.Error(), undone.Error()) || !strings.Contains(err.Error(), "another program") {
			t.Errorf("%v does not say both", err)
		}
	}
}
