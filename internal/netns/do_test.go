package netns_test

import (
	"context"
	"strings"
	"testing"

	"github.com/natwarden/natwarden/internal/lab/labtest"
)

func TestAPanicOfTheWorkIsAnError(t *testing.T) {
	s := labtest.New(t)
	err := s.Handle().Do(t.Context(), func(context.Context) error {
		var none []int
		_ = none[len(t.Name())]
		return nil
	})
	if err == nil || !strings.Contains(err.Error(), "index out of range") || !strings.Contains(err.Error(), "do_test.go:15") {
		t.Errorf("%v", err)
	}
}
