package main

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/natwarden/natwarden/internal/change"
	"github.com/natwarden/natwarden/internal/host"
	"github.com/natwarden/natwarden/internal/ipvs"
	ipvsedit "github.com/natwarden/natwarden/internal/ipvs/edit"
	"github.com/natwarden/natwarden/internal/kmod"
	"github.com/natwarden/natwarden/internal/lab"
	"github.com/natwarden/natwarden/internal/netns"
	nftedit "github.com/natwarden/natwarden/internal/nft/edit"
	routeedit "github.com/natwarden/natwarden/internal/route/edit"
	xtedit "github.com/natwarden/natwarden/internal/xtables/edit"
	"github.com/natwarden/natwarden/remediate"
)

// A loader makes what a snapshot's file holds in the namespace of the thread.
type loader struct {
	file string
	load func(ctx context.Context, file []byte) (lacking []string, err error)
	edit func() change.Editor
}

// noLock stands for the lock of iptables-legacy on a stage: nobody else can be
// there, and the host's must not be held up. Every process may open and lock it.
const noLock = "/dev/null"

// loaders are the subsystems that a private namespace can rehearse. The editors
// are fresh ones: what they keep of a namespace is not the host's.
func loaders() map[string]loader {
	return map[string]loader{
		nftedit.Backend: {nftedit.FileName, nftedit.Load, nftedit.New},
		"x_tables":      {"x_tables.raw", xtedit.Load, func() change.Editor { return xtedit.New(noLock) }},
		ipvs.Backend:    {ipvsedit.RawFile, ipvsedit.Load, func() change.Editor { return ipvsedit.New() }},
		"rtnetlink":     {"rtnetlink.raw", routeedit.Load, func() change.Editor { return routeedit.New() }},
	}
}

// newStage makes a private network namespace and loads it with the files of a
// plan. It has no name: it ends with what holds it, also when natwarden is killed.
func newStage(ctx context.Context, of remediate.Space, files map[string]map[string][]byte) (*remediate.Stage, error) {
	space, err := lab.New()
	if err != nil {
		return nil, err
	}
	far, err := lab.New()
	if err != nil {
		return nil, errors.Join(err, space.Close())
	}
	stage := &remediate.Stage{Do: space.Do, Close: func() error { return errors.Join(space.Close(), far.Close()) }}
	if stage.Unlike, err = standIns(ctx, of, space, far); err == nil {
		err = load(ctx, stage, files)
	}
	if err != nil {
		return nil, errors.Join(err, stage.Close())
	}
	return stage, nil
}

// load loads the subsystems of a plan, and gives the stage their editors.
func load(ctx context.Context, stage *remediate.Stage, files map[string]map[string][]byte) error {
	all := loaders()
	for _, e := range editors() { // in the order of a plan
		l, known := all[e.Backend()]
		held, wanted := files[e.Backend()]
		if !known || !wanted {
			continue
		}
		err := stage.Do(ctx, func(ctx context.Context) error {
			lacking, err := l.load(ctx, held[l.file])
			stage.Unlike = append(stage.Unlike, lacking...)
			return err
		})
		if err != nil {
			return err
		}
		stage.Editors = append(stage.Editors, l.edit())
	}
	return nil
}

// mostStandIns bounds the interfaces of a stage.
const mostStandIns = 512

// standIns gives a stage interfaces with the names and numbers of the host's: rules
// and routes name them by either. All of them are veth, whatever they stand for.
func standIns(ctx context.Context, of remediate.Space, space, far *lab.Space) (unlike []string, err error) {
	var links []host.Iface
	err = of.Handle.Do(ctx, func(ctx context.Context) (err error) {
		links, _, err = netns.Ifaces(ctx)
		return err
	})
	if err != nil {
		return nil, err
	}
	if err := space.Loopback(ctx); err != nil {
		return nil, err
	}
	links = slices.DeleteFunc(links, func(l host.Iface) bool { return l.Loopback })
	there := slices.ContainsFunc(links, func(l host.Iface) bool { return l.Kind == "veth" })
	if len(links) > 0 && !there && !kmod.Read().Have("veth") {
		return []string{"the interfaces: to make one could load the module veth"}, nil
	}
	for i, l := range links {
		if i == mostStandIns {
			return append(unlike, fmt.Sprintf("%d of %d interfaces: no more than %d are made", len(links)-i, len(links), i)), nil
		}
		if err := space.StandIn(ctx, far, l.Name, l.Index, l.Up); err != nil {
			unlike = append(unlike, "interface "+l.Name+": "+err.Error())
		}
	}
	return unlike, nil
}
