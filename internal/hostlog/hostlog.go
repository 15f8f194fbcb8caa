// Package hostlog tells the host's own log what natwarden does: journald by its
// native protocol, or else syslog. It is a second copy of the action log, out of
// the hands of whoever can write natwarden's own. It keeps nothing itself, and a host that has neither is none of
// its errors. natwarden is a program, not a library: the package serves cmd/natwarden.
package hostlog

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"log/syslog"
	"maps"
	"net"
	"os"
	"slices"
	"strings"
	"syscall"
	"time"
)

// Journal is the socket of journald's native protocol
// (https://systemd.io/JOURNAL_NATIVE_PROTOCOL).
const Journal = "/run/systemd/journal/socket"

// patience bounds a message: a logger that hangs must not hold a change up.
const patience = 2 * time.Second

const (
	identifier = "natwarden"
	notice     = "5"      // PRIORITY, as in syslog(3)
	longest    = 64 << 10 // bytes of a field
)

// Send gives a message, with fields for programs that search the journal, to
// journald at the given socket, or else to syslog. Names of fields are capitals,
// digits and underscores. Where neither listens there is nothing to do.
func Send(ctx context.Context, journal, text string, fields map[string]string) error {
	ctx, stop := context.WithTimeout(ctx, patience)
	defer stop()
	err := sendJournal(ctx, journal, text, fields)
	if !absent(err) {
		return err
	}
	return sendSyslog(ctx, text)
}

// absent says whether nobody listens there.
func absent(err error) bool {
	return errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ECONNREFUSED)
}

func sendJournal(ctx context.Context, socket, text string, fields map[string]string) error {
	conn, err := (&net.Dialer{}).DialContext(ctx, "unixgram", socket)
	if err != nil {
		return fmt.Errorf("telling journald: %w", err)
	}
	defer conn.Close()
	if until, ok := ctx.Deadline(); ok {
		if err := conn.SetWriteDeadline(until); err != nil {
			return fmt.Errorf("telling journald: %w", err)
		}
	}
	if _, err := conn.Write(entry(text, fields)); err != nil {
		return fmt.Errorf("telling journald: %w", err)
	}
	return nil
}

// entry is a message in the journal's form: NAME=value, or, where a value holds
// a line's end, the name, its length (64 bits, little end first) and the value.
func entry(text string, fields map[string]string) []byte {
	all := maps.Clone(fields)
	if all == nil {
		all = map[string]string{}
	}
	all["MESSAGE"], all["PRIORITY"], all["SYSLOG_IDENTIFIER"] = text, notice, identifier
	var b bytes.Buffer
	for _, name := range slices.Sorted(maps.Keys(all)) {
		value := all[name]
		value = value[:min(len(value), longest)]
		b.WriteString(name)
		if strings.Contains(value, "\n") {
			b.WriteByte('\n')
			b.Write(binary.LittleEndian.AppendUint64(nil, uint64(len(value))))
		} else {
			b.WriteByte('=')
		}
		b.WriteString(value + "\n")
	}
	return b.Bytes()
}

// sendSyslog gives a message to syslog in a goroutine of its own, for a full
// queue would hold it.
func sendSyslog(ctx context.Context, text string) error {
	if !listens("/dev/log") && !listens("/var/run/syslog") && !listens("/var/run/log") {
		return nil
	}
	done := make(chan error, 1)
	go func() {
		w, err := syslog.New(syslog.LOG_NOTICE|syslog.LOG_AUTHPRIV, identifier)
		if err == nil {
			err = errors.Join(w.Notice(text), w.Close())
		}
		done <- err
	}()
	select {
	case err := <-done:
		if err != nil {
			return fmt.Errorf("telling syslog: %w", err)
		}
		return nil
	case <-ctx.Done():
		return fmt.Errorf("telling syslog: %w", ctx.Err())
	}
}

// listens says whether a socket stands at one of the places where log/syslog
// looks; a logger that has gone and left its socket behind is its error to tell.
func listens(path string) bool {
	st, err := os.Stat(path)
	return err == nil && st.Mode()&fs.ModeSocket != 0
}
