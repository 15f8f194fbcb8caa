package smoke

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"

	"golang.org/x/net/dns/dnsmessage"

	"github.com/natwarden/natwarden/internal/host"
)

// udpLimit is the largest answer by UDP to a question without extensions (RFC
// 1035, 2.3.4), with room for servers that do not keep to it. A longer one comes by TCP.
const udpLimit = 4096

// askDNS asks one server, by UDP, and by TCP where the answer is cut. Nothing
// of this host answers in its place: neither /etc/hosts nor a cache.
func askDNS(ctx context.Context, d *host.DNSProbe) error {
	question, err := questionOf(d)
	if err != nil {
		return err
	}
	for _, network := range []string{"udp", "tcp"} {
		answer, err := exchange(ctx, network, d, question)
		if err != nil {
			return short(err)
		}
		if !answer.Truncated || network == "tcp" {
			return judgeDNS(d, answer)
		}
	}
	return nil
}

func questionOf(d *host.DNSProbe) (dnsmessage.Question, error) {
	types := map[string]dnsmessage.Type{"A": dnsmessage.TypeA, "AAAA": dnsmessage.TypeAAAA, "CNAME": dnsmessage.TypeCNAME,
		"MX": dnsmessage.TypeMX, "NS": dnsmessage.TypeNS, "TXT": dnsmessage.TypeTXT}
	name, err := dnsmessage.NewName(d.Name + ".")
	if err != nil {
		return dnsmessage.Question{}, fmt.Errorf("%q is no name: %w", d.Name, err)
	}
	return dnsmessage.Question{Name: name, Type: types[d.Type], Class: dnsmessage.ClassINET}, nil
}

// exchange sends the question and waits for its answer.
func exchange(ctx context.Context, network string, d *host.DNSProbe, question dnsmessage.Question) (*dnsmessage.Message, error) {
	var random [2]byte
	_, _ = rand.Read(random[:]) // never fails (crypto/rand)
	id := binary.BigEndian.Uint16(random[:])
	query, err := (&dnsmessage.Message{Header: dnsmessage.Header{ID: id, RecursionDesired: true}, Questions: []dnsmessage.Question{question}}).Pack()
	if err != nil {
		return nil, err
	}
	c, err := dialer().DialContext(ctx, network, d.Server.String())
	if err != nil {
		return nil, err
	}
	defer c.Close()
	if deadline, set := ctx.Deadline(); set {
		if err := c.SetDeadline(deadline); err != nil {
			return nil, err
		}
	}
	if network == "tcp" {
		query = append(binary.BigEndian.AppendUint16(nil, uint16(len(query))), query...) // RFC 1035, 4.2.2
	}
	if _, err := c.Write(query); err != nil {
		return nil, err
	}
	for {
		data, err := receive(c, network)
		if err != nil {
			return nil, err
		}
		var m dnsmessage.Message
		if err := m.Unpack(data); err == nil && answers(&m, id, question) {
			return &m, nil
		}
		if network == "tcp" {
			return nil, errors.New("what it answered is no answer to the question")
		}
	}
}

// receive reads one message.
func receive(c net.Conn, network string) ([]byte, error) {
	if network == "udp" {
		data := make([]byte, udpLimit)
		n, err := c.Read(data)
		return data[:n], err
	}
	var length [2]byte
	if _, err := io.ReadFull(c, length[:]); err != nil {
		return nil, err
	}
	data := make([]byte, binary.BigEndian.Uint16(length[:]))
	_, err := io.ReadFull(c, data)
	return data, err
}

// answers says whether a message answers the question: another one may be a
// late answer, or forged.
func answers(m *dnsmessage.Message, id uint16, q dnsmessage.Question) bool {
	if !m.Response || m.ID != id || len(m.Questions) != 1 {
		return false
	}
	got := m.Questions[0]
	return got.Type == q.Type && got.Class == q.Class && strings.EqualFold(got.Name.String(), q.Name.String())
}

// judgeDNS holds an answer against what is expected.
func judgeDNS(d *host.DNSProbe, m *dnsmessage.Message) error {
	if m.RCode != dnsmessage.RCodeSuccess {
		return fmt.Errorf("the server answered %s", strings.TrimPrefix(m.RCode.String(), "RCode"))
	}
	var got []string
	for _, r := range m.Answers {
		if text := record(r.Body, d.Type); text != "" {
			got = append(got, text)
		}
	}
	if len(got) == 0 {
		return fmt.Errorf("the server knows no %s of it", d.Type)
	}
	for _, want := range d.Answers {
		if !slices.Contains(got, canonical(want, d.Type)) {
			return fmt.Errorf("the answer is %.400q, without %q", got, want)
		}
	}
	return nil
}
