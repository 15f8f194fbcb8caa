package rollback

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"

	"golang.org/x/sys/unix"

	"github.com/natwarden/natwarden/internal/retry"
)

const (
	lastName  = "last-plan.json"
	lastForm  = 1
	lastLimit = 256 << 20 // bytes
)

// Last is what the last change took away, in words: enough for a person to type
// it again when the journal and the snapshots are gone.
type Last struct {
	SchemaVersion int        `json:"schema_version"`
	Change        string     `json:"change"`
	Snapshot      string     `json:"snapshot"`
	Origin        Origin     `json:"origin"`
	Steps         []LastStep `json:"steps"`
}

// LastStep is one object that a change took away.
type LastStep struct {
	IDs    []string `json:"ids"` // of the redirects that it ended
	Action string   `json:"action"`
	Object string   `json:"object"` // "ip nat PREROUTING handle 7"
	Text   string   `json:"text"`   // in the language of its writer
	Place  int      `json:"place"`  // in its chain, from 1
}

// Remember writes down what the change that begins takes away, in the place of
// what was written before. The caller holds the lock.
func (s *Store) Remember(l Last) error {
	l.SchemaVersion = lastForm
	data, err := json.MarshalIndent(l, "", " ")
	if err == nil {
		err = s.root.replace(lastName, append(data, '\n'))
	}
	if err != nil {
		return fmt.Errorf("writing down what the change takes away: %w%s", err, s.hint(err))
	}
	return nil
}

// Last gives what the last change took away; nil where nothing was written down.
func (s *Store) Last() (*Last, error) {
	data, err := s.root.read(lastName, lastLimit)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var l Last
	if err := strict(data, &l); err != nil {
		return nil, fmt.Errorf("reading %s/%s: it is damaged: %w", s.Path(), lastName, err)
	}
	if l.SchemaVersion != lastForm {
		return nil, fmt.Errorf("reading %s/%s: its form is %d, this natwarden knows %d", s.Path(), lastName, l.SchemaVersion, lastForm)
	}
	return &l, nil
}

// replace puts a file with new content in the place of one, whole or not at all.
func (d *dir) replace(name string, data []byte) error {
	temp := tempPrefix + name
	if err := retry.Call(func() error { return unix.Unlinkat(d.fd(), temp, 0) }); err != nil && !errors.Is(err, unix.ENOENT) {
		return &fs.PathError{Op: "removing", Path: d.path + "/" + temp, Err: err}
	}
	err := d.write(temp, data)
	if err == nil {
		err = retry.Call(func() error { return unix.Renameat(d.fd(), temp, d.fd(), name) })
	}
	if err != nil {
		_ = unix.Unlinkat(d.fd(), temp, 0) // else the next one removes it
		return err
	}
	return d.sync()
}
