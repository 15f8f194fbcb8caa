package genl

import (
	"context"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/natwarden/natwarden/internal/lab/labtest"
)

func TestTheControllerIsAlwaysThere(t *testing.T) {
	labtest.New(t).MustDo(t, func(ctx context.Context) error {
		c, err := Dial(ctx)
		if err != nil {
			return err
		}
		defer c.Close()
		got, err := c.Families()
		if err != nil {
			return err
		}
		if got["nlctrl"] != unix.GENL_ID_CTRL || got["NATWARDEN"] != 0 {
			t.Errorf("families: %v", got)
		}
		if _, err := c.Dump(0x3ff0, 1, 1, nil); err == nil {
			t.Error("a family that is not there answers")
		}
		return nil
	})
}

func TestAMessageShorterThanItsHeader(t *testing.T) {
	if _, err := Parse([]byte{1, 1, 0}); err == nil {
		t.Error("three bytes are taken")
	}
	m, err := Parse([]byte{7, 1, 0, 0, 5})
	if err != nil || m.Command != 7 || len(m.Attrs) != 1 {
		t.Errorf("%+v, %v", m, err)
	}
}

func TestAttributesArePadded(t *testing.T) {
	if got := Attribute(3, []byte{1, 2}); len(got) != 8 || got[0] != 6 || got[2] != 3 {
		t.Errorf("% x", got)
	}
}
