package edit

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"

	"golang.org/x/sys/unix"

	"github.com/natwarden/natwarden/internal/change"
	"github.com/natwarden/natwarden/internal/ipvs"
)

func carryOut(ctx context.Context, s change.Step) error {
	if s.After == nil {
		return remove(ctx, s.Before)
	}
	return restore(ctx, s.After)
}

// remove deletes a service. What is gone already is success: the host is as
// planned. One that is not as it was read stays.
func remove(ctx context.Context, o *change.Object) error {
	now, there, err := find(ctx, o)
	if err != nil || !there {
		return err
	}
	if now.Fingerprint != o.Fingerprint {
		return fmt.Errorf("it is now %s: %w", now.Text, change.ErrStale)
	}
	question, err := ipvs.Question(o.Raw)
	if err != nil {
		return err
	}
	c, err := ipvs.Dial(ctx, false)
	if err != nil {
		return err
	}
	defer c.Close()
	if err := c.DeleteService(question); !errors.Is(err, unix.ESRCH) {
		return err
	}
	return nil
}

// restore puts a service back and proves that it reads as before. Of what an
// interrupted restore left, it makes the rest.
func restore(ctx context.Context, o *change.Object) error {
	now, there, err := find(ctx, o)
	if err != nil || there && now.Fingerprint == o.Fingerprint {
		return err
	}
	todo, err := lacking(o, now, there)
	if err != nil {
		return err
	}
	if err := send(ctx, o, !there, todo); err != nil {
		return err
	}
	if now, there, err = find(ctx, o); err != nil {
		return err
	}
	if !there || now.Fingerprint != o.Fingerprint {
		return fmt.Errorf("it was made and reads differently: %s", now.Text)
	}
	return nil
}

// send makes the service where it is not there, and its destinations, the last
// first: the kernel puts each before the others.
func send(ctx context.Context, o *change.Object, service bool, dests []change.Part) error {
	question, err := ipvs.Question(o.Raw)
	if err != nil {
		return err
	}
	c, err := ipvs.Dial(ctx, true)
	if err != nil {
		return err
	}
	defer c.Close()
	if service {
		if err := c.AddService(o.Raw); err != nil {
			return err
		}
	}
	for _, d := range slices.Backward(dests) {
		if err := c.AddDest(question, d.Raw); err != nil {
			return fmt.Errorf("destination %s: %w", d.Name, err)
		}
	}
	return nil
}

// lacking are the destinations that are still to be made. What stands there
// must be the service itself with the last of them: what an interrupted restore
// leaves. Anything else somebody else made, and it stays.
func lacking(o *change.Object, now ipvs.Object, there bool) ([]change.Part, error) {
	if !there {
		return o.Parts, nil
	}
	have, want := now.Dests, o.Parts
	if !bytes.Equal(now.Raw, o.Raw) || len(have) > len(want) {
		return nil, fmt.Errorf("another stands there now: %s", now.Text)
	}
	rest := want[:len(want)-len(have)]
	for i, d := range have {
		if !bytes.Equal(d.Raw, want[len(rest)+i].Raw) {
			return nil, fmt.Errorf("another stands there now: %s", now.Text)
		}
	}
	return rest, nil
}

// find reads the service of an object's name as it is now.
func find(ctx context.Context, o *change.Object) (now ipvs.Object, there bool, err error) {
	objects, err := ipvs.Objects(ctx)
	if err != nil {
		return ipvs.Object{}, false, err
	}
	i := slices.IndexFunc(objects, func(x ipvs.Object) bool { return x.Name == o.Names[nameName] })
	if i < 0 {
		return ipvs.Object{}, false, nil
	}
	return objects[i], true, nil
}
