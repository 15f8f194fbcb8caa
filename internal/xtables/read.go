package xtables

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"runtime"

	"golang.org/x/sys/unix"

	"github.com/natwarden/natwarden/internal/host"
)

// readTries bounds how often a table is asked for again because it changed
// its size between the question for the size and that for the entries.
const readTries = 20

// maxTable bounds the memory that one table may take, in bytes: about ten
// times a table of a million rules never comes near it.
const maxTable = 1 << 30

// Read reads every table that exists in the network namespace of the calling
// thread, which the caller has locked. An error of one table is a Blind of the
// dump; the error is for what kept all of it from being read.
func Read(ctx context.Context) (*Dump, error) {
	d := &Dump{SetNames: map[uint16]string{}}
	for _, kind := range []struct {
		family host.Family
		file   string
	}{{host.IP, "ip_tables_names"}, {host.IP6, "ip6_tables_names"}} {
		names, loaded, err := tableNames(kind.file)
		if err != nil {
			return nil, err
		}
		d.Loaded = d.Loaded || loaded
		if err := d.readFamily(ctx, kind.family, names); err != nil {
			return nil, err
		}
	}
	if err := d.nameSets(); err != nil {
		d.blind("ipsets of rules", err.Error())
	}
	return d, d.lookAtOthers()
}

func (d *Dump) blind(what, why string) {
	d.Blind = append(d.Blind, host.Blind{Source: Source, What: what, Why: why})
}

func (d *Dump) readFamily(ctx context.Context, family host.Family, names []string) error {
	if len(names) == 0 {
		return nil
	}
	if runtime.GOARCH == "386" {
		d.blind(string(family)+" tables", "a 32-bit x86 build of natwarden cannot read x_tables; use the 64-bit one")
		return nil
	}
	s, err := OpenSocket(family)
	if err != nil {
		return err
	}
	defer s.Close()
	for _, name := range names {
		t, err := ReadTable(ctx, s, family, name)
		if errors.Is(err, unix.EPERM) || ctx.Err() != nil {
			return err
		}
		if err != nil {
			d.blind(string(family)+" "+name, err.Error())
			continue
		}
		d.Tables = append(d.Tables, t)
	}
	return nil
}

// ReadTable reads one table, which must be one that exists: asking for
// another one creates it.
func ReadTable(ctx context.Context, s *Socket, family host.Family, name string) (*Table, error) {
	for try := 0; ; try++ {
		t, err := readOnce(s, family, name)
		if err == nil {
			return t, nil
		}
		if !errors.Is(err, unix.EAGAIN) || try == readTries {
			return nil, fmt.Errorf("reading %s table %s: %w", family, name, err)
		}
		if err := ctx.Err(); err != nil {
			return nil, fmt.Errorf("reading %s table %s, which keeps changing: %w", family, name, err)
		}
	}
}

func readOnce(s *Socket, family host.Family, name string) (*Table, error) {
	t, size, count, err := readInfo(s, family, name)
	if err != nil {
		return nil, err
	}
	// struct ipt_get_entries: name, size, then the entries on a multiple of 8.
	const header = tableName + 8
	buf := make([]byte, header+int(size))
	copy(buf[:tableName-1], name)
	binary.NativeEndian.PutUint32(buf[tableName:], size)
	n, err := s.Get(getEntries, buf)
	if err != nil {
		return nil, err
	}
	if n != len(buf) {
		return nil, fmt.Errorf("the kernel gave %d bytes of entries instead of %d", n, len(buf))
	}
	t.Blob = buf[header:]
	return t, t.index(count)
}

// index finds the entries and compares their number with what the kernel said.
func (t *Table) index(count uint32) error {
	var err error
	if t.Entries, err = walkEntries(t.Family, t.Blob); err != nil {
		return err
	}
	if len(t.Entries) != int(count) {
		return fmt.Errorf("found %d entries where the kernel has %d", len(t.Entries), count)
	}
	return nil
}

// readInfo asks for struct ipt_getinfo.
func readInfo(s *Socket, family host.Family, name string) (t *Table, size, count uint32, err error) {
	buf := make([]byte, tableName+4+20+20+8)
	if len(name) >= tableName {
		return nil, 0, 0, fmt.Errorf("table name %q is too long", name)
	}
	copy(buf, name)
	if _, err := s.Get(getInfo, buf); err != nil {
		return nil, 0, 0, err
	}
	t = &Table{Family: family, Name: name, ValidHooks: u32(buf, 32)}
	for i := range 5 {
		t.HookEntry[i] = u32(buf, 36+4*i)
		t.Underflow[i] = u32(buf, 56+4*i)
	}
	count, size = u32(buf, 76), u32(buf, 80)
	if size > maxTable {
		return nil, 0, 0, fmt.Errorf("table of %d bytes is larger than natwarden reads", size)
	}
	return t, size, count, nil
}
