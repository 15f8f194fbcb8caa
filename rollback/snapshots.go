package rollback

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"slices"
	"strings"
)

// Limits for what is read back: a planted file must not fill the memory.
const (
	manifestLimit = 16 << 20 // bytes
	fileLimit     = 1 << 30  // bytes
)

// ErrUnknownID says that no snapshot or change has that id, or more than one.
var ErrUnknownID = errors.New("no such id")

// Snapshot is a snapshot that is on the disk.
type Snapshot struct {
	ID       string   `json:"id"`
	Manifest Manifest `json:"manifest"`
	// Damage says why the manifest cannot be used; the rest is then empty.
	Damage string `json:"damage,omitempty"`
}

// Damage is a file of a snapshot that is not as it was written.
type Damage struct {
	File string `json:"file"`
	Why  string `json:"why"`
}

// List gives all snapshots, oldest first. One whose manifest is damaged is
// listed with its damage.
func (s *Store) List() ([]Snapshot, error) {
	names, err := s.snapshots.names()
	if err != nil {
		return nil, err
	}
	out := []Snapshot{}
	for _, id := range names {
		if strings.HasPrefix(id, tempPrefix) {
			continue
		}
		snap, err := s.manifest(id)
		if err != nil {
			snap = &Snapshot{ID: id, Damage: err.Error()}
		}
		out = append(out, *snap)
	}
	slices.SortStableFunc(out, func(a, b Snapshot) int { return a.Manifest.Origin.Time.Compare(b.Manifest.Origin.Time) })
	return out, nil
}

// Show gives one snapshot by its id or an unambiguous beginning of it.
func (s *Store) Show(id string) (*Snapshot, error) {
	full, err := complete(s.snapshots, id, "snapshot")
	if err != nil {
		return nil, err
	}
	return s.manifest(full)
}

// File gives the bytes of a file of a snapshot, proven by the manifest.
func (s *Store) File(id, name string) ([]byte, error) {
	snap, err := s.Show(id)
	if err != nil {
		return nil, err
	}
	d, err := s.snapshots.sub(snap.ID)
	if err != nil {
		return nil, err
	}
	defer d.Close()
	for _, f := range snap.Manifest.Files {
		if f.Name == name {
			data, why := d.proven(f)
			if why != "" {
				return nil, fmt.Errorf("snapshot %s: %s %s", snap.ID, printable(name), why)
			}
			return data, nil
		}
	}
	return nil, fmt.Errorf("snapshot %s has no file %q", snap.ID, name)
}

// Verify compares a snapshot with its manifest and its id, byte for byte, and
// names each file that is changed, missing or too many. An intact snapshot
// gives an empty list.
func (s *Store) Verify(id string) ([]Damage, error) {
	full, err := complete(s.snapshots, id, "snapshot")
	if err != nil {
		return nil, err
	}
	d, err := s.snapshots.sub(full)
	if err != nil {
		return nil, err
	}
	defer d.Close()
	snap, err := s.manifest(full)
	if err != nil {
		return []Damage{{manifestName, err.Error()}}, nil
	}
	return d.damages(snap.Manifest.Files)
}

func (d *dir) damages(files []ManifestFile) ([]Damage, error) {
	names, err := d.names()
	if err != nil {
		return nil, err
	}
	out := []Damage{}
	known := map[string]bool{manifestName: true}
	for _, f := range files {
		known[f.Name] = true
		if _, why := d.proven(f); why != "" {
			out = append(out, Damage{f.Name, why})
		}
	}
	for _, name := range names {
		if !known[name] {
			out = append(out, Damage{name, "is in the folder but not in the manifest"})
		}
	}
	return out, nil
}

// proven reads a file and says why it is not the one in the manifest, if so.
func (d *dir) proven(f ManifestFile) ([]byte, string) {
	data, err := d.read(f.Name, fileLimit)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, "is missing"
	case err != nil:
		return nil, err.Error()
	case int64(len(data)) != f.Size:
		return nil, fmt.Sprintf("has %d bytes, not %d", len(data), f.Size)
	case sha256Hex(data) != f.SHA256:
		return nil, "is changed: its SHA-256 is not the one in the manifest"
	}
	return data, ""
}

// manifest reads a manifest and proves it by the id.
func (s *Store) manifest(id string) (*Snapshot, error) {
	d, err := s.snapshots.sub(id)
	if err != nil {
		return nil, err
	}
	defer d.Close()
	data, err := d.read(manifestName, manifestLimit)
	if err != nil {
		return nil, err
	}
	if manifestID(data) != id {
		return nil, fmt.Errorf("the manifest of snapshot %s is changed: its SHA-256 begins with %s", id, manifestID(data))
	}
	m, err := parseManifest(data)
	if err != nil {
		return nil, fmt.Errorf("reading the manifest of snapshot %s: %w", id, err)
	}
	return &Snapshot{ID: id, Manifest: *m}, nil
}

// parseManifest reads a manifest strictly.
func parseManifest(data []byte) (*Manifest, error) {
	var m Manifest
	if err := strict(data, &m); err != nil {
		return nil, err
	}
	if m.SchemaVersion != manifestForm {
		return nil, fmt.Errorf("its form is %d, this natwarden knows %d", m.SchemaVersion, manifestForm)
	}
	for i, f := range m.Files {
		if err := checkName(f.Name); err != nil || f.Name == manifestName {
			return nil, fmt.Errorf("%q is no name for a file of a snapshot", f.Name)
		}
		if i > 0 && m.Files[i-1].Name >= f.Name {
			return nil, fmt.Errorf("its files are not sorted: %q", f.Name)
		}
	}
	return &m, nil
}

// strict reads one JSON value: no unknown key, nothing behind it.
func strict(data []byte, into any) error {
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.DisallowUnknownFields()
	if err := dec.Decode(into); err != nil {
		return err
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return errors.New("something stands behind the JSON value")
	}
	return nil
}

// complete finds the one name in a folder that begins as given.
func complete(d *dir, prefix, what string) (string, error) {
	names, err := d.names()
	if err != nil {
		return "", err
	}
	var found []string
	for _, name := range names {
		if name == prefix {
			return name, nil
		}
		if prefix != "" && strings.HasPrefix(name, prefix) && !strings.HasPrefix(name, tempPrefix) {
			found = append(found, name)
		}
	}
	switch len(found) {
	case 0:
		return "", fmt.Errorf("%w: no %s begins with %q", ErrUnknownID, what, prefix)
	case 1:
		return found[0], nil
	}
	return "", fmt.Errorf("%w: %d %ss begin with %q: %s", ErrUnknownID, len(found), what, prefix, strings.Join(found[:min(len(found), 4)], ", "))
}
