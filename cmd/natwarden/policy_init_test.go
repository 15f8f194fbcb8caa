package main

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/natwarden/natwarden/policy"
)

// What natwarden would not read again it does not write.
func TestPolicyTooLargeToRead(t *testing.T) {
	a := &app{streams: &streams{}, Options: Options{Quiet: true, Policy: filepath.Join(t.TempDir(), "policy.yaml")}}
	err := a.keepPolicy(bytes.Repeat([]byte("#"), policy.MaxSize+1))
	if err == nil || !strings.Contains(err.Error(), "no more than 1024: nothing was written") || !strings.Contains(hintFor(err), "--netns") {
		t.Errorf("%v; hint %q", err, hintFor(err))
	}
	if _, err := os.Stat(a.Policy); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("it was written all the same: %v", err)
	}
	if err := a.keepPolicy(bytes.Repeat([]byte("#"), policy.MaxSize)); err != nil {
		t.Errorf("the largest that is read: %v", err)
	}
}
