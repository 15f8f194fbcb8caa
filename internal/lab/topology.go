package lab

import (
	"context"
	"errors"
)

// The addresses of the triangle. The backend's is the one of the advisory
// that natwarden starts from; the client's and the host's outer one are of
// TEST-NET-3, which nobody may use for real (RFC 5737).
const (
	ClientAddr  = "203.0.113.2"
	HostAddr    = "203.0.113.1"
	InnerAddr   = "192.168.1.1"
	BackendAddr = "192.168.1.10"
)

// Triangle is a client that reaches a backend only through a host.
type Triangle struct{ Client, Host, Backend *Space }

// NewTriangle makes the three spaces, joins them and lets the host forward.
func NewTriangle(ctx context.Context) (*Triangle, error) {
	t := &Triangle{}
	for _, s := range []**Space{&t.Client, &t.Host, &t.Backend} {
		var err error
		if *s, err = New(); err != nil {
			return nil, errors.Join(err, t.Close())
		}
	}
	if err := t.connect(ctx); err != nil {
		return nil, errors.Join(err, t.Close())
	}
	return t, nil
}

func (t *Triangle) connect(ctx context.Context) error {
	outer := Link(ctx, End{t.Client, "eth0", ClientAddr + "/24"}, End{t.Host, "eth0", HostAddr + "/24"})
	inner := Link(ctx, End{t.Backend, "eth0", BackendAddr + "/24"}, End{t.Host, "eth1", InnerAddr + "/24"})
	if err := errors.Join(outer, inner, t.Host.Loopback(ctx)); err != nil {
		return err
	}
	return errors.Join(
		t.Client.Gateway(ctx, HostAddr),
		t.Backend.Gateway(ctx, InnerAddr),
		t.Host.Forward(ctx))
}

// Close lets the three spaces go; the kernel removes what stands in them.
func (t *Triangle) Close() error {
	var err error
	for _, s := range []*Space{t.Client, t.Host, t.Backend} {
		if s != nil {
			err = errors.Join(err, s.Close())
		}
	}
	return err
}
