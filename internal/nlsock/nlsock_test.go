package nlsock

import (
	"context"
	"errors"
	"os"
	"testing"
	"time"

	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"

	"github.com/natwarden/natwarden/internal/lab/labtest"
)

// asked asks for all devices, which is many messages in one datagram, and then
// the word that there are no more.
func asked(c *netlink.Conn) ([]netlink.Message, error) {
	return c.Execute(netlink.Message{Header: netlink.Header{Type: unix.RTM_GETLINK, Flags: netlink.Request | netlink.Dump}, Data: make([]byte, unix.SizeofIfInfomsg)})
}

// That an interrupted call is made again is of internal/trial, which interrupts each.

// What it reads is what the library reads, with a buffer of its own and without.
func TestItReadsAsTheLibraryDoes(t *testing.T) {
	s := labtest.New(t, "ip")
	for i := range 40 {
		s.MustRun(t, "", "ip", "link", "add", "x"+string(rune('a'+i%26))+string(rune('a'+i/26)), "type", "veth")
	}
	for name, config := range map[string]*netlink.Config{"sizes are asked for": nil, "one buffer": {MessageBufferSize: 64 << 10}} {
		s.MustDo(t, func(context.Context) error {
			mine, err := Dial(unix.NETLINK_ROUTE, config)
			if err != nil {
				return err
			}
			defer mine.Close()
			theirs, err := netlink.Dial(unix.NETLINK_ROUTE, nil)
			if err != nil {
				return err
			}
			defer theirs.Close()
			got, err := asked(mine)
			want, errWant := asked(theirs)
			if err != nil || errWant != nil || len(got) != len(want) || len(got) < 80 {
				t.Fatalf("%s: %d messages %v, want %d %v", name, len(got), err, len(want), errWant)
			}
			for i := range got {
				if got[i].Header.Type != want[i].Header.Type || string(got[i].Data) != string(want[i].Data) {
					t.Errorf("%s: message %d is another", name, i)
				}
			}
			return nil
		})
	}
}

func TestErrorsAndDeadlinesAreThoseOfTheKernel(t *testing.T) {
	s := labtest.New(t)
	s.MustDo(t, func(context.Context) error {
		c, err := Dial(unix.NETLINK_ROUTE, nil)
		if err != nil {
			return err
		}
		defer c.Close()
		if err := c.SetOption(netlink.ExtendedAcknowledge, true); err != nil {
			t.Error(err)
		}
		_, err = c.Execute(netlink.Message{Header: netlink.Header{Type: unix.RTM_DELLINK, Flags: netlink.Request | netlink.Acknowledge},
			Data: append([]byte{0, 0, 0, 0, 99, 99}, make([]byte, 10)...)})
		var said *netlink.OpError
		if !errors.Is(err, unix.ENODEV) || !errors.As(err, &said) {
			t.Errorf("a device that is not there: %v", err)
		}
		began := time.Now()
		if err := c.SetDeadline(began.Add(50 * time.Millisecond)); err != nil {
			t.Error(err)
		}
		if _, err := c.Receive(); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("nothing to receive: %v", err)
		}
		if took := time.Since(began); took > 5*time.Second {
			t.Errorf("it waited %s past its deadline", took)
		}
		return nil
	})
}

// A datagram that is larger than the buffer is an error, not a part of an answer.
func TestWhatDoesNotFitIsAnError(t *testing.T) {
	s := labtest.New(t)
	s.MustDo(t, func(context.Context) error {
		c, err := Dial(unix.NETLINK_ROUTE, &netlink.Config{MessageBufferSize: 64})
		if err != nil {
			return err
		}
		defer c.Close()
		if _, err := asked(c); err == nil {
			t.Error("an answer was cut off, and no error")
		}
		return nil
	})
}
