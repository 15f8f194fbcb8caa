package smoke

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"sync"
	"time"

	"github.com/natwarden/natwarden/internal/host"
)

const (
	// allTime bounds one round of all tests.
	allTime = 2 * time.Minute
	// atOnce bounds the questions that are under way together.
	atOnce = 16
)

// Files is how the package gets at files, which others must not have written.
type Files struct {
	Program func(path string) error           // refuses a program that is not to be run
	Read    func(path string) ([]byte, error) // reads certificates
}

// Ask asks every probe once, and gives for each why it failed; "" where it did
// not. Questions to the network go out side by side, programs run one after the other.
func Ask(ctx context.Context, probes []host.Probe, files Files) []string {
	ctx, stop := context.WithTimeoutCause(ctx, allTime, errAllTime)
	defer stop()
	out := make([]string, len(probes))
	var wait sync.WaitGroup
	slots := make(chan struct{}, atOnce)
	var programs []int
	for i := range probes {
		if len(probes[i].Command) > 0 {
			programs = append(programs, i)
			continue
		}
		wait.Go(func() {
			slots <- struct{}{}
			defer func() { <-slots }()
			out[i] = files.ask(ctx, &probes[i])
		})
	}
	for _, i := range programs {
		out[i] = files.ask(ctx, &probes[i])
	}
	wait.Wait()
	return out
}

var errAllTime = fmt.Errorf("it was not asked to the end: all tests together may take %s", allTime)

// ask asks one probe within its time.
func (f Files) ask(ctx context.Context, p *host.Probe) string {
	if ctx.Err() != nil {
		return context.Cause(ctx).Error()
	}
	late := fmt.Errorf("no answer within %s", p.Timeout)
	own, stop := context.WithTimeoutCause(ctx, p.Timeout, late)
	defer stop()
	var err error
	switch {
	case p.HTTP != nil:
		err = askHTTP(own, p.HTTP, f)
	case p.DNS != nil:
		err = askDNS(own, p.DNS)
	case len(p.Command) > 0:
		err = runProgram(own, p.Command, f)
	default:
		err = askTCP(own, p.TCP)
	}
	switch {
	case err == nil:
		return ""
	case own.Err() != nil && errors.As(err, new(leftError)):
		return fmt.Sprintf("%s; %s", context.Cause(own), err)
	case own.Err() != nil: // whatever it says then, that is why
		return context.Cause(own).Error()
	case errors.Is(err, os.ErrDeadlineExceeded): // a socket's deadline, a moment before
		return late.Error()
	}
	return err.Error()
}

// dialer finds names by the servers of resolv.conf, never by the C library, whose
// modules read the environment.
func dialer() *net.Dialer { return &net.Dialer{Resolver: &net.Resolver{PreferGo: true}} }

func askTCP(ctx context.Context, address string) error {
	c, err := dialer().DialContext(ctx, "tcp", address)
	if err != nil {
		return short(err)
	}
	return c.Close()
}

// Connects says whether an address takes a TCP connection from this host.
func Connects(ctx context.Context, address string, within time.Duration) bool {
	ctx, stop := context.WithTimeout(ctx, within)
	defer stop()
	return askTCP(ctx, address) == nil
}

// short leaves out of an error of package net what the probe says already.
func short(err error) error {
	var op *net.OpError
	if errors.As(err, &op) {
		return op.Err
	}
	return err
}
