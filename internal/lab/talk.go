package lab

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"syscall"
	"time"
)

// patience is how long one connection may take; everything is in memory.
const patience = 2 * time.Second

// Greeter listens in a space and greets whoever connects, so that a client
// sees who really answers.
type Greeter struct{ listener net.Listener }

// Greet starts a Greeter on a TCP address of the space.
func (s *Space) Greet(ctx context.Context, addr, greeting string) (*Greeter, error) {
	var g Greeter
	err := s.Do(ctx, func(ctx context.Context) error {
		var err error
		g.listener, err = new(net.ListenConfig).Listen(ctx, "tcp", addr)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("listening on %s in the lab: %w", addr, err)
	}
	go g.serve(greeting)
	return &g, nil
}

func (g *Greeter) serve(greeting string) {
	for {
		conn, err := g.listener.Accept()
		if err != nil {
			return // closed
		}
		_ = conn.SetDeadline(time.Now().Add(patience))
		_, _ = io.WriteString(conn, greeting) // the client tells what arrived
		_ = conn.Close()
	}
}

// Close stops the greeter.
func (g *Greeter) Close() error { return g.listener.Close() }

// ErrRefused says that nobody answers on the port: the host itself sent a reset.
var ErrRefused = errors.New("connection refused")

// Ask connects from the space to a TCP address and gives the greeting. It is
// ErrRefused where nobody listens.
func (s *Space) Ask(ctx context.Context, addr string) (string, error) {
	var greeting string
	err := s.Do(ctx, func(ctx context.Context) error {
		var err error
		greeting, err = ask(ctx, addr)
		return err
	})
	if errors.Is(err, syscall.ECONNREFUSED) {
		return "", ErrRefused
	}
	return greeting, err
}

func ask(ctx context.Context, addr string) (string, error) {
	dialer := net.Dialer{Timeout: patience}
	conn, err := dialer.DialContext(ctx, "tcp", addr)
	if err != nil {
		return "", err
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(patience))
	text, err := io.ReadAll(io.LimitReader(conn, 1024))
	return string(text), err
}
