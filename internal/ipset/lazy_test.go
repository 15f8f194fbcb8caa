package ipset_test

import (
	"context"
	"sync"
	"testing"

	"github.com/natwarden/natwarden/internal/ipset"
	"github.com/natwarden/natwarden/internal/lab/labtest"
)

// Rules are decoded on several threads, none of which need be in the namespace
// whose sets they name.
func TestLazySetsAreThoseOfTheirNamespaceFromEveryThread(t *testing.T) {
	s := labtest.New(t, "ipset")
	s.MustRun(t, "", "ipset", "create", "here", "hash:ip")
	var lazy *ipset.LazySets
	s.MustDo(t, func(ctx context.Context) error {
		lazy = ipset.Lazy(context.WithoutCancel(ctx))
		return nil
	})
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			if set, ok := lazy.ByName("here"); !ok || set.Type != "hash:ip" {
				t.Errorf("a set of the namespace is not seen: %v, %v", set, lazy.Err())
			}
		})
	}
	all.Wait()
	if _, ok := lazy.ByIndex(4711); ok {
		t.Error("a set that is not there was found")
	}
}

func TestLazySetsInTheirOwnThread(t *testing.T) {
	s := labtest.New(t, "ipset")
	s.MustRun(t, "", "ipset", "create", "here", "hash:ip")
	s.MustDo(t, func(ctx context.Context) error {
		lazy := ipset.Lazy(ctx)
		if _, ok := lazy.ByName("here"); !ok {
			t.Errorf("a set of the namespace is not seen: %v", lazy.Err())
		}
		return nil
	})
}
