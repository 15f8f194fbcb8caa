package rollback

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"slices"

	"golang.org/x/sys/unix"

	"github.com/natwarden/natwarden/internal/retry"
)

const (
	manifestName = "manifest.json"
	manifestForm = 1
	// idLength is how many hex digits of the manifest's SHA-256 name a snapshot.
	idLength = 32
)

// Manifest lists what a snapshot holds. Its own SHA-256 is the snapshot's id,
// so that nothing in it can change unseen.
type Manifest struct {
	SchemaVersion int            `json:"schema_version"`
	Origin        Origin         `json:"origin"`
	Files         []ManifestFile `json:"files"` // sorted by name
}

// ManifestFile is one file of a snapshot.
type ManifestFile struct {
	Name   string `json:"name"`
	Size   int64  `json:"size"` // bytes
	SHA256 string `json:"sha256"`
}

// Take writes a snapshot of the given files, by name, and gives its id. Either
// the whole snapshot is on the disk afterwards or none of it: temporary folder,
// fsync of each file, fsync of the folder, rename, fsync of the parent. Names are
// of one part; FileName makes one from anything. The caller holds the lock.
func (s *Store) Take(origin Origin, files map[string][]byte) (string, error) {
	manifest, err := newManifest(origin, files)
	if err != nil {
		return "", fmt.Errorf("taking a snapshot: %w", err)
	}
	id := manifestID(manifest)
	temp := tempPrefix + rand.Text()
	err = s.writeSnapshot(temp, manifest, files)
	if err == nil {
		err = s.snapshots.rename(temp, id)
	}
	if err != nil {
		// What could not be removed now is cleared away when the lock is taken next.
		_ = s.snapshots.discard(temp)
	}
	if errors.Is(err, fs.ErrExist) {
		return id, nil // the very same content at the same second
	}
	if err != nil {
		return "", fmt.Errorf("taking a snapshot: %w%s", err, s.hint(err))
	}
	return id, nil
}

// hint says what to do about a disk that takes no more.
func (s *Store) hint(err error) string {
	if errors.Is(err, unix.EROFS) { // where a change is to be taken back, another place knows nothing of it
		return "; make " + s.Path() + " writable again, or, for a new change only, name another place with --state-dir"
	}
	if errors.Is(err, unix.ENOSPC) || errors.Is(err, unix.EDQUOT) || errors.Is(err, unix.EFBIG) {
		return "; nothing was kept of it: free space for " + s.Path() + " or name another place with --state-dir"
	}
	return ""
}

func newManifest(origin Origin, files map[string][]byte) ([]byte, error) {
	m := Manifest{SchemaVersion: manifestForm, Origin: origin, Files: []ManifestFile{}}
	for name, data := range files {
		if err := checkName(name); err != nil {
			return nil, err
		}
		if name == manifestName {
			return nil, fmt.Errorf("%s is the name of the manifest itself", name)
		}
		m.Files = append(m.Files, ManifestFile{name, int64(len(data)), sha256Hex(data)})
	}
	slices.SortFunc(m.Files, func(a, b ManifestFile) int {
		if a.Name < b.Name {
			return -1
		}
		return 1
	})
	data, err := json.MarshalIndent(m, "", "  ")
	return append(data, '\n'), err
}

func manifestID(manifest []byte) string { return sha256Hex(manifest)[:idLength] }

func sha256Hex(data []byte) string {
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:])
}

// writeSnapshot fills a temporary folder and makes it read-only.
func (s *Store) writeSnapshot(temp string, manifest []byte, files map[string][]byte) error {
	d, err := s.snapshots.mkdir(temp)
	if err != nil {
		return err
	}
	defer d.Close()
	for name, data := range files {
		if err := d.write(name, data); err != nil {
			return err
		}
	}
	if err := d.write(manifestName, manifest); err != nil {
		return err
	}
	return d.lockUp()
}

// lockUp takes the write permissions away and brings the folder to the disk.
func (d *dir) lockUp() error {
	names, err := d.names()
	if err != nil {
		return err
	}
	for _, name := range names {
		if err := retry.Call(func() error { return unix.Fchmodat(d.fd(), name, 0o400, 0) }); err != nil {
			return &fs.PathError{Op: "making read-only", Path: d.path + "/" + name, Err: err}
		}
	}
	if err := retry.Call(func() error { return unix.Fchmod(d.fd(), 0o500) }); err != nil {
		return &fs.PathError{Op: "making read-only", Path: d.path, Err: err}
	}
	return d.sync()
}
