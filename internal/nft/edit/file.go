package edit

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"math"

	"github.com/natwarden/natwarden/internal/nft"
)

// fileHead explains the format to whoever opens the file. It is compared
// byte by byte when the file is read.
const fileHead = `natwarden nf_tables dump 1
Records follow the empty line: kind (1 byte), family (1 byte, NFPROTO_*),
length (4 bytes, big endian), payload. Kinds: G generation (4 bytes, big endian),
then each table: T table, C chain, R rule of the chain before it, S set, E element
of the set before it (payload of NFTA_LIST_ELEM), O object or flowtable; at the end
Z with the number of records before it (4 bytes, big endian). T C R S O hold the
attributes of the message as the kernel gave them (linux/netfilter/nf_tables.h).
`

// byteOrder names the order of lengths and types in netlink attributes, which
// is the writer's.
func byteOrder() string {
	if binary.NativeEndian.Uint16([]byte{1, 0}) == 1 {
		return "Attributes: little endian headers.\n\n"
	}
	return "Attributes: big endian headers.\n\n"
}

const recordHead = 6

// WriteFile writes a dump for a snapshot.
func WriteFile(d *nft.Dump) []byte {
	w := &fileWriter{}
	w.Grow(sizeOf(d))
	w.WriteString(fileHead)
	w.WriteString(byteOrder())
	w.put('G', 0, binary.BigEndian.AppendUint32(nil, d.Generation))
	for _, t := range d.Tables {
		w.table(t)
	}
	w.put('Z', 0, binary.BigEndian.AppendUint32(nil, w.records))
	return w.Bytes()
}

type fileWriter struct {
	bytes.Buffer
	records uint32
}

func (w *fileWriter) put(kind, family byte, payload []byte) {
	w.WriteByte(kind)
	w.WriteByte(family)
	w.Write(binary.BigEndian.AppendUint32(nil, uint32(len(payload))))
	w.Write(payload)
	w.records++
}

func (w *fileWriter) table(t *nft.Table) {
	w.put('T', t.Family, t.Attrs)
	for _, c := range t.Chains {
		w.put('C', t.Family, c.Attrs)
		for _, r := range c.Rules {
			w.put('R', t.Family, r.Attrs)
		}
	}
	for _, s := range t.Sets {
		w.put('S', t.Family, s.Attrs)
		for _, e := range s.Elements {
			w.put('E', t.Family, e)
		}
	}
	for _, o := range t.Others {
		w.put('O', t.Family, o)
	}
}

func sizeOf(d *nft.Dump) int {
	n := len(fileHead) + 64
	for _, t := range d.Tables {
		for _, c := range t.Chains {
			for _, r := range c.Rules {
				n += recordHead + len(r.Attrs)
			}
		}
	}
	return n + n/8
}

// ReadFile reads what WriteFile wrote. It is strict: anything else, more or
// less, is an error that says at which byte. The dump points into b.
func ReadFile(b []byte) (*nft.Dump, error) {
	rest, ok := bytes.CutPrefix(b, []byte(fileHead+byteOrder()))
	if !ok {
		return nil, errors.New("reading an nf_tables dump: the head is not the one this version writes on this kind of machine")
	}
	r := &fileReader{dump: &nft.Dump{}}
	for !r.ended {
		kind, family, payload, next, err := record(rest)
		if err == nil {
			err = r.take(kind, family, payload)
		}
		if err != nil {
			return nil, fmt.Errorf("reading an nf_tables dump at byte %d: %w", len(b)-len(rest), err)
		}
		rest = next
	}
	if len(rest) > 0 {
		return nil, fmt.Errorf("reading an nf_tables dump: %d bytes after its end", len(rest))
	}
	return r.dump, nil
}

func record(b []byte) (kind, family byte, payload, rest []byte, err error) {
	if len(b) < recordHead {
		return 0, 0, nil, nil, errors.New("it ends too early")
	}
	n := binary.BigEndian.Uint32(b[2:])
	if n > math.MaxInt32 || int(n) > len(b)-recordHead {
		return 0, 0, nil, nil, errors.New("a record is longer than the file")
	}
	end := recordHead + int(n)
	return b[0], b[1], b[recordHead:end:end], b[end:], nil
}
