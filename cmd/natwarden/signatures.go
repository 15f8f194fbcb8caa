package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

const (
	mostSignatures = 64
	// signatureLimit is far above any signature, in bytes: the largest are those of
	// RSA keys with a certificate.
	signatureLimit = 64 << 10
)

// signatureFiles are the files beside a plan that are named as its signatures
// (PLAN.sig, PLAN.*.sig), and those that the user names, once each.
func signatureFiles(plan string, named []string) ([]string, error) {
	folder, base := filepath.Split(plan)
	entries, err := os.ReadDir(filepath.Clean(folder)) // "" is "."
	if err != nil {
		return nil, fmt.Errorf("looking for signatures of the plan: %w", err)
	}
	var out []string
	known := map[string]bool{}
	add := func(path string) {
		if path = filepath.Clean(path); !known[path] {
			known[path] = true
			out = append(out, path)
		}
	}
	for _, e := range entries {
		if rest, mine := strings.CutPrefix(e.Name(), base+"."); mine && (rest == "sig" || strings.HasSuffix(rest, ".sig")) {
			add(filepath.Join(folder, e.Name()))
		}
	}
	for _, path := range named {
		add(path)
	}
	if len(out) > mostSignatures {
		return nil, fmt.Errorf("%d signatures of the plan are too many: %d are the most", len(out), mostSignatures)
	}
	return out, nil
}

// readSignature reads a file that proves itself: so it may belong to the signer
// who put it there. It must only not be something to wait for.
func readSignature(path string) ([]byte, error) {
	fd, err := unix.Open(path, unix.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("opening it: %w", err)
	}
	f := os.NewFile(uintptr(fd), path)
	defer f.Close()
	if info, err := f.Stat(); err != nil || !info.Mode().IsRegular() {
		return nil, errors.New("it is no regular file")
	}
	data, err := io.ReadAll(io.LimitReader(f, signatureLimit+1))
	if err == nil && len(data) > signatureLimit {
		err = fmt.Errorf("it is larger than %d KiB", signatureLimit>>10)
	}
	return data, err
}
