package retry

import (
	"errors"
	"testing"

	"golang.org/x/sys/unix"
)

func TestOnlyInterruptedCallsAreMadeAgain(t *testing.T) {
	for _, last := range []error{nil, unix.EIO, errors.New("other")} {
		calls := 0
		fd, err := Open(func() (int, error) {
			if calls++; calls < 3 {
				return -1, unix.EINTR
			}
			return 7, last
		})
		if calls != 3 || fd != 7 || err != last {
			t.Errorf("%d calls, %d %v", calls, fd, err)
		}
	}
}
