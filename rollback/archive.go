package rollback

import (
	"archive/tar"
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

const (
	// archiveFolder begins the names in an archive, before the snapshot's id.
	archiveFolder = "natwarden-snapshot-"
	// courtesyFolder holds what others than natwarden can load. It is not proven.
	courtesyFolder = "courtesy/"
	archiveLimit   = 4 << 30 // bytes of all files
	archiveMost    = 10000   // files
)

// Archive is a snapshot in one file: a tar with a folder that carries the id,
// the manifest, the files that it lists, and files for people and other programs (Courtesy).
type Archive struct {
	Snapshot
	Files    map[string][]byte
	Courtesy map[string][]byte
}

// Export writes a snapshot to a new file, mode 0600, after it proved it; a file
// that is there is not touched. courtesy are further files, by name, which no manifest proves.
func (s *Store) Export(id, path string, courtesy map[string][]byte) (err error) {
	snap, files, err := s.Files(id)
	if err != nil {
		return err
	}
	manifest, err := s.manifestBytes(snap.ID)
	if err != nil {
		return err
	}
	data, err := writeArchive(snap, manifest, files, courtesy)
	if err != nil {
		return err
	}
	return writeNew(path, data)
}

// Files reads all files of a snapshot, proven by the manifest.
func (s *Store) Files(id string) (*Snapshot, map[string][]byte, error) {
	snap, err := s.Show(id)
	if err != nil {
		return nil, nil, err
	}
	d, err := s.snapshots.sub(snap.ID)
	if err != nil {
		return nil, nil, err
	}
	defer d.Close()
	files := map[string][]byte{}
	for _, f := range snap.Manifest.Files {
		data, why := d.proven(f)
		if why != "" {
			return nil, nil, fmt.Errorf("snapshot %s: %s %s", snap.ID, printable(f.Name), why)
		}
		files[f.Name] = data
	}
	return snap, files, nil
}

func (s *Store) manifestBytes(id string) ([]byte, error) {
	d, err := s.snapshots.sub(id)
	if err != nil {
		return nil, err
	}
	defer d.Close()
	return d.read(manifestName, manifestLimit)
}

func writeArchive(snap *Snapshot, manifest []byte, files, courtesy map[string][]byte) ([]byte, error) {
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	at := snap.Manifest.Origin.Time
	folder := archiveFolder + snap.ID + "/"
	err := put(w, folder+manifestName, manifest, at)
	for _, f := range snap.Manifest.Files {
		err = errors.Join(err, put(w, folder+f.Name, files[f.Name], at))
	}
	for _, name := range slices.Sorted(maps.Keys(courtesy)) {
		err = errors.Join(err, put(w, folder+courtesyFolder+name, courtesy[name], at))
	}
	if err = errors.Join(err, w.Close()); err != nil {
		return nil, fmt.Errorf("writing the archive: %w", err)
	}
	return b.Bytes(), nil
}

func put(w *tar.Writer, name string, data []byte, at time.Time) error {
	h := &tar.Header{Name: name, Mode: 0o600, Size: int64(len(data)), ModTime: at, Format: tar.FormatPAX}
	if err := w.WriteHeader(h); err != nil {
		return err
	}
	_, err := w.Write(data)
	return err
}

// writeNew makes a file that must not be there yet, whole or not at all.
func writeNew(path string, data []byte) error {
	full, err := absolute(path)
	if err != nil {
		return err
	}
	fd, err := unix.Open(filepath.Dir(full), unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return &fs.PathError{Op: "opening", Path: filepath.Dir(full), Err: err}
	}
	d := &dir{os.NewFile(uintptr(fd), filepath.Dir(full)), filepath.Dir(full)}
	defer d.Close()
	name := filepath.Base(full)
	err = d.write(name, data)
	if errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("%w: natwarden overwrites nothing", err)
	}
	if err != nil {
		_ = unix.Unlinkat(d.fd(), name, 0) // made by us: half of it is of no use
		return err
	}
	return d.sync()
}

// ReadArchive reads what Export wrote. What is wrong with its files stands in
// the damages; an error is about the archive as a whole.
func ReadArchive(r io.Reader) (*Archive, []Damage, error) {
	a := &Archive{Files: map[string][]byte{}, Courtesy: map[string][]byte{}}
	manifest, err := a.read(tar.NewReader(r))
	if err != nil {
		return nil, nil, fmt.Errorf("reading the archive of a snapshot: %w", err)
	}
	if manifestID(manifest) != a.ID {
		return nil, nil, fmt.Errorf("the manifest of snapshot %s is changed: its SHA-256 begins with %s", printable(a.ID), manifestID(manifest))
	}
	m, err := parseManifest(manifest)
	if err != nil {
		return nil, nil, fmt.Errorf("reading the manifest of snapshot %s: %w", a.ID, err)
	}
	a.Manifest = *m
	return a, a.damages(), nil
}

// read takes the files of the archive and gives the manifest.
func (a *Archive) read(r *tar.Reader) (manifest []byte, err error) {
	total := int64(0)
	for n := 0; ; n++ {
		h, err := r.Next()
		if errors.Is(err, io.EOF) && manifest == nil {
			return nil, errors.New("it holds no manifest")
		}
		if errors.Is(err, io.EOF) {
			return manifest, nil
		}
		if err != nil {
			return nil, err
		}
		if total += h.Size; h.Typeflag != tar.TypeReg || isSparse(h) || h.Size < 0 || total > archiveLimit || n > archiveMost {
			return nil, fmt.Errorf("%q is no plain file, or too large", h.Name)
		}
		data, err := io.ReadAll(r)
		if err != nil {
			return nil, err
		}
		if err := a.take(h.Name, data, &manifest); err != nil {
			return nil, err
		}
	}
}

// isSparse says whether a file holds more bytes than stand in the archive: a small
// one would fill the memory. Natwarden writes none (GNU tar manual, "Sparse Formats").
func isSparse(h *tar.Header) bool {
	for key := range h.PAXRecords {
		if strings.HasPrefix(key, "GNU.sparse.") {
			return true
		}
	}
	return false
}

func (a *Archive) take(full string, data []byte, manifest *[]byte) error {
	folder, name, _ := strings.Cut(full, "/")
	id, ours := strings.CutPrefix(folder, archiveFolder)
	if !ours || a.ID != "" && a.ID != id {
		return fmt.Errorf("%q is not of one snapshot", full)
	}
	a.ID = id
	into := a.Files
	if courtesy, is := strings.CutPrefix(name, courtesyFolder); is {
		name, into = courtesy, a.Courtesy
	}
	if _, twice := into[name]; twice || checkName(name) != nil || name == manifestName && *manifest != nil {
		return fmt.Errorf("%q stands there twice, or is no file name", full)
	}
	if name == manifestName {
		*manifest = data
		return nil
	}
	into[name] = data
	return nil
}

func (a *Archive) damages() []Damage {
	out := []Damage{}
	known := map[string]bool{}
	for _, f := range a.Manifest.Files {
		known[f.Name] = true
		data, there := a.Files[f.Name]
		switch {
		case !there:
			out = append(out, Damage{f.Name, "is missing"})
		case int64(len(data)) != f.Size:
			out = append(out, Damage{f.Name, fmt.Sprintf("has %d bytes, not %d", len(data), f.Size)})
		case sha256Hex(data) != f.SHA256:
			out = append(out, Damage{f.Name, "is changed: its SHA-256 is not the one in the manifest"})
		}
	}
	for _, name := range slices.Sorted(maps.Keys(a.Files)) {
		if !known[name] {
			out = append(out, Damage{name, "is in the archive but not in the manifest"})
		}
	}
	return out
}
