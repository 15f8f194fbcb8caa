package bpf

import (
	"context"
	"errors"
	"io/fs"
	"path/filepath"
	"strings"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/link"
	"github.com/cilium/ebpf/pin"
)

// mostPins bounds how many files of a bpffs are looked at.
const mostPins = 20_000

var errEnough = errors.New("enough")

// pins walks every mounted bpffs. Opening a pin changes nothing.
func (k *keepers) pins(ctx context.Context) {
	mounts, err := mountsOf("bpf")
	if err != nil {
		return
	}
	n := 0
	for _, root := range mounts {
		_ = filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
			if n++; n > mostPins || ctx.Err() != nil {
				return errEnough
			}
			if err == nil && d.Type().IsRegular() && !strings.HasSuffix(path, ".debug") { // maps.debug and progs.debug are listings
				k.pin(path)
			}
			return nil
		})
	}
}

func (k *keepers) pin(path string) {
	object, err := pin.Load(path, &ebpf.LoadPinOptions{})
	if err != nil {
		return
	}
	defer object.Close()
	switch o := object.(type) {
	case *ebpf.Program:
		if id, err := IDOf(o); err == nil {
			note(k.programPins, id, path)
		}
	case link.Link:
		if info, err := o.Info(); err == nil {
			note(k.linkPins, uint32(info.ID), path)
		}
	}
}
