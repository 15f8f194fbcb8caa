package ipvs

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"os"

	"github.com/natwarden/natwarden/internal/genl"
)

// Backend is the subsystem's name in refs, objects and steps.
const Backend = "ipvs"

// KindService is the kind of a service with its destinations.
const KindService = "IPVS service"

// Object is a service for the editor: what makes it again.
type Object struct {
	Name         string // which service it is: two of one name cannot be at the same time
	Raw          []byte // its attributes, without counters
	Dests        []Dest // in the kernel's order, which is the newest first
	Fingerprint  string // of content, without counters
	Text         string // as the options of ipvsadm(8)
	Option       string // which service it is, as an option of ipvsadm(8)
	Unrestorable string // why it could not be put back as it was; "" where it could
}

// Dest is a destination of an Object.
type Dest struct {
	Name string
	Raw  []byte
}

// Objects lists the services of the calling thread's namespace; none where
// ip_vs is not in the kernel.
func Objects(ctx context.Context) ([]Object, error) {
	if _, err := os.Stat(procPath); errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	services, err := ask(ctx)
	if err != nil {
		return nil, fmt.Errorf("reading IPVS: %w", err)
	}
	out := make([]Object, 0, len(services))
	for i := range services {
		out = append(out, services[i].object())
	}
	return out, nil
}

func (s *service) object() Object {
	o := Object{Name: s.identity(), Raw: s.raw, Text: s.text(), Option: s.option(), Unrestorable: s.strange}
	sum := sha256.New()
	frame := func(b []byte) { fmt.Fprintf(sum, "%d:", len(b)); sum.Write(b) }
	frame(s.raw)
	for _, d := range s.dests {
		o.Dests = append(o.Dests, Dest{netip.AddrPortFrom(d.addr, d.port).String(), d.raw})
		if d.strange != "" && o.Unrestorable == "" {
			o.Unrestorable = fmt.Sprintf("destination %s: %s", netip.AddrPortFrom(d.addr, d.port), d.strange)
		}
		frame(d.raw)
	}
	o.Fingerprint = hex.EncodeToString(sum.Sum(nil)[:12])
	return o
}

// identity tells services apart; a packet mark may serve both families.
func (s *service) identity() string { return string(familyOf(s.family)) + " " + s.name() }

// Question is what names the service of these attributes to the kernel, packed
// as a request's attribute.
func Question(raw []byte) ([]byte, error) {
	s, err := decodeService(genl.Message{Attrs: genl.Attribute(attrService, raw)})
	if err != nil {
		return nil, err
	}
	return s.question(), nil
}

// Conn asks and changes IPVS in the namespace of the thread that opened it. Close it.
type Conn struct {
	c  *genl.Conn
	id uint16
}

// Dial opens IPVS. Where the kernel does not have it, load says to ask for it by
// name, which loads the module; else it is an error.
func Dial(ctx context.Context, load bool) (*Conn, error) {
	c, err := genl.Dial(ctx)
	if err != nil {
		return nil, err
	}
	families, err := c.Families()
	id, there := families[familyName]
	if err == nil && !there {
		if id, err = 0, errors.New("ip_vs is not in the kernel"); load {
			id, err = c.Load(familyName)
		}
	}
	if err != nil {
		c.Close()
		return nil, fmt.Errorf("opening IPVS: %w", err)
	}
	return &Conn{c, id}, nil
}

// Close closes the connection.
func (c *Conn) Close() error { return c.c.Close() }

// DeleteService ends a service, and its destinations with it, by the answer of Question.
func (c *Conn) DeleteService(question []byte) error {
	return c.c.Send(c.id, cmdDelService, 1, question)
}

// AddService makes a service without destinations, from an Object's Raw.
func (c *Conn) AddService(raw []byte) error {
	return c.c.Send(c.id, cmdNewService, 1, genl.Attribute(attrService|nested, raw))
}

// AddDest gives a service a destination, from a Dest's Raw. The kernel puts it before the others.
func (c *Conn) AddDest(question, raw []byte) error {
	return c.c.Send(c.id, cmdNewDest, 1, append(append([]byte{}, question...), genl.Attribute(attrDest|nested, raw)...))
}

// Pack is the Object that the kernel would show after a service was made from
// these bytes; it proves that they can be sent.
func Pack(raw []byte, dests [][]byte) (Object, error) {
	s, err := decodeService(genl.Message{Attrs: genl.Attribute(attrService, raw)})
	if err != nil {
		return Object{}, err
	}
	for _, b := range dests {
		d, err := decodeDest(genl.Message{Attrs: genl.Attribute(attrDest, b)}, s.family)
		if err != nil {
			return Object{}, err
		}
		s.dests = append(s.dests, d)
	}
	o := s.object()
	if o.Unrestorable != "" {
		return o, errors.New(o.Unrestorable)
	}
	return o, nil
}
