package path_test

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"github.com/natwarden/natwarden/internal/host"
	"github.com/natwarden/natwarden/internal/path"
	"github.com/natwarden/natwarden/internal/walk"
)

// conditional is a rule set whose redirect holds under a condition only: what
// audit's row says of it, and what becomes of tcp/80 and of a packet beside it.
type conditional struct {
	name   string
	nft    []string
	xt     map[string][]string
	ipsets []string
	row    string // protocol, ports, source, conditions
	hit    string
	beside string // PORT or PORT FROM of the packet that it does not take; "" is port 81
	miss   string // "" is that nobody listens
}

const there, refused = "forwarded 10.2.0.2:9000", "nobody refused"

// split is the answer where words decide and nothing else.
func split(words string) string {
	return there + " if " + words + " | " + refused + " if not (" + words + ")"
}

// pre are the rules of a NAT chain at prerouting, with sets and chains before it.
func natChain(rule string, before ...string) []string {
	return append(append([]string{"add table ip t"}, before...), "add chain ip t c { type nat hook prerouting priority -100; }", "add rule ip t c "+rule)
}

// legacy is a DNAT rule of tcp/80 with a match.
func legacy(match string, before ...string) map[string][]string {
	return map[string][]string{"legacy 4 nat": append(before, "-A PREROUTING -p tcp --dport 80 "+match+" -j DNAT --to-destination 10.2.0.2:9000")}
}

func conditionals() []conditional {
	const to = " dnat to 10.2.0.2:9000"
	return []conditional{
		{name: "hours of the day", xt: legacy("-m time --timestart 03:00 --timestop 03:01"), row: "tcp 80 () timestart 03:00:00 timestop 03:01:00", hit: split("timestart 03:00:00 timestop 03:01:00")},
		{name: "days of the week", xt: legacy("-m time --weekdays Sa,Su"), row: "tcp 80 () weekdays Sat,Sun", hit: split("weekdays Sat,Sun")},
		{name: "a date to come", xt: legacy("-m time --datestart 2037-01-01"), row: "tcp 80 () datestart 2037-01-01T00:00:00", hit: refused},
		{name: "hours, native", nft: natChain(`tcp dport 80 meta hour "03:00"-"03:01"` + to), row: `tcp 80 () meta hour "03:00:00 UTC"-"03:01:00 UTC"`, hit: split(`meta hour "03:00:00 UTC"-"03:01:00 UTC"`)},
		{name: "every third", xt: legacy("-m statistic --mode nth --every 3 --packet 0"), row: "tcp 80 () every 3rd packet (number 0)", hit: split("every 3rd packet (number 0)")},
		{name: "by chance", nft: natChain("tcp dport 80 meta random < 1000000000" + to), row: "tcp 80 () meta random < 1000000000", hit: split("meta random < 1000000000")},
		{name: "in turns", nft: natChain("tcp dport 80 numgen inc mod 4 1" + to), row: "tcp 80 () numgen inc mod 4 1", hit: split("numgen inc mod 4 1")},
		{name: "a limit", nft: natChain("tcp dport 80 limit rate 3/hour" + to), row: "tcp 80 () limit rate 3/hour burst 5 packets", hit: split("limit rate 3/hour burst 5 packets")},
		{name: "a limit for each sender", xt: legacy("-m hashlimit --hashlimit-upto 5/min --hashlimit-mode srcip --hashlimit-name h"), row: "tcp 80 () hashlimit-upto 5/min burst 5 by srcip", hit: split("hashlimit-upto 5/min burst 5 by srcip")},
		{name: "connections counted", nft: natChain("tcp dport 80 ct count over 3" + to), row: "tcp 80 () ct count over 3", hit: split("ct count over 3")},
		{name: "a string", xt: legacy("-m string --string login --algo kmp"), row: `tcp 80 () string "login"`, hit: split(`string "login"`)},
		{name: "the length", nft: natChain("tcp dport 80 meta length > 1000" + to), row: "tcp 80 () meta length > 1000", hit: split("meta length > 1000")},
		{name: "knocked lately", row: "tcp 80 () source in recent list door within 60 s (filled by packets)", hit: split("source in recent list door within 60 s (filled by packets)"),
			xt: legacy("-m recent --name door --rcheck --seconds 60", "-A PREROUTING -p tcp --dport 7000 -m recent --name door --set")},
		{name: "knocked, native", row: "tcp 80 () ip saddr @door (filled by packets)", hit: split("ip saddr @door (filled by packets)"),
			nft: natChain("ip saddr @door tcp dport 80"+to, "add set ip t door { type ipv4_addr; flags dynamic,timeout; timeout 5m; }",
				"add chain ip t k { type filter hook prerouting priority -150; }", "add rule ip t k tcp dport 7000 update @door { ip saddr }")},
		{name: "u32 that reads the port", row: "tcp 80 ()", hit: there,
			xt: map[string][]string{"legacy 4 nat": {`-A PREROUTING -p tcp -m u32 --u32 "0>>22&0x3C@0&0xFFFF=0x50" -j DNAT --to-destination 10.2.0.2:9000`}}},
		{name: "u32 that reads what nobody knows", row: `tcp 80 () u32 "0x4&0xffff=0x1"`, hit: split(`u32 "0x4&0xffff=0x1"`), xt: legacy(`-m u32 --u32 "4&0xFFFF=0x1"`)},
		{name: "bytes of the header", nft: natChain("meta l4proto tcp @th,16,16 & 0xfffc == 0x50" + to), row: "tcp 80-83 ()", hit: there, beside: "84"},
		{name: "a mark of another table", row: "tcp any () mark 0x40/0x40", hit: there,
			xt: map[string][]string{"legacy 4 mangle": {"-A PREROUTING -p tcp --dport 80 -j MARK --set-xmark 0x40/0x40"},
				"legacy 4 nat": {"-A PREROUTING -p tcp -m mark --mark 0x40/0x40 -j DNAT --to-destination 10.2.0.2:9000"}}},
		{name: "a connection mark, saved and restored", row: "tcp any () mark 0x7", hit: there,
			nft: natChain("meta l4proto tcp meta mark 7"+to, "add chain ip t k { type filter hook prerouting priority -150; }", "add rule ip t k tcp dport 80 ct mark set 7", "add rule ip t k meta mark set ct mark")},
		{name: "one sender by a verdict map", row: "tcp 80 (10.1.0.2)", hit: there, beside: "80 10.1.0.3",
			nft: natChain("ip saddr vmap @who", "add chain ip t d", "add rule ip t d tcp dport 80"+to, "add map ip t who { type ipv4_addr : verdict; flags interval; elements = { 10.1.0.2 : goto d, 10.200.0.0/16 : accept }; }")},
		{name: "pairs by a map", row: "tcp 80 (10.1.0.0/24)", hit: there, beside: "80 10.4.0.2",
			nft: natChain("dnat to ip saddr . tcp dport map @m", "add map ip t m { type ipv4_addr . inet_service : ipv4_addr . inet_service; flags interval; elements = { 10.1.0.0/24 . 80 : 10.2.0.2 . 9000 }; }")},
		{name: "an ipset whose entries expire", row: "tcp 80 (10.1.0.2) src in ipset guests (entries expire)", hit: split("src in ipset guests (entries expire)"), beside: "80 10.1.0.3", ipsets: []string{"create guests hash:ip timeout 600", "add guests 10.1.0.2"}, xt: legacy("-m set --match-set guests src")},
		{name: "an ipset that packets fill", row: "tcp 80 () src in ipset guests", hit: split("packets filled ipset guests and src in ipset guests"), ipsets: []string{"create guests hash:ip timeout 600"},
			xt: legacy("-m set --match-set guests src", "-A PREROUTING -p tcp --dport 7000 -j SET --add-set guests src")},
	}
}

func rowWords(r *host.Redirect) string {
	return strings.TrimSpace(fmt.Sprintf("%s %s (%s) %s", r.Proto, r.Ports, r.Source, strings.Join(r.Conditions, " and ")))
}

// Redirects that hold under a condition only: the row of the audit says
// protocol, ports, source and condition in words, a packet that is taken and one
// that is not are explained, and the kernel is asked both.
func TestConditionsInWords(t *testing.T) {
	l := newDiffLab(t)
	for _, tt := range conditionals() {
		t.Run(tt.name, func(t *testing.T) {
			s := &scenario{nft: tt.nft, tables: tt.xt, ipsets: tt.ipsets}
			hit, miss := l.probeTo(t, 80, "10.1.0.2"), l.probeBeside(t, tt.beside)
			loaded := len(s.nft)
			answers, ok := l.try(t, s, []*probe{hit, miss}, patience)
			if !ok || len(s.nft) != loaded {
				t.Fatalf("the rules were not loaded whole: %s", s)
			}
			want := []string{tt.hit, tt.miss}
			if tt.miss == "" {
				want[1] = refused
			}
			for i, p := range []*probe{hit, miss} {
				if got := short(answers[i]); got != want[i] || verdictOf(answers[i], p) == "wrong" {
					t.Errorf("%s\ngot  %s\nwant %s", describe(p), got, want[i])
				}
			}
			w, done, err := l.world(t)
			defer done()
			if err != nil {
				t.Fatal(err)
			}
			rows := walk.Redirects(w.Space, walk.Options{SocketsRead: true})
			if len(rows) != 1 || rowWords(&rows[0]) != tt.row {
				t.Errorf("%d rows; want one of %q", len(rows), tt.row)
				for i := range rows {
					t.Logf("row %s", rowWords(&rows[i]))
				}
			}
		})
	}
}

func (l *diffLab) probeTo(t testing.TB, port uint16, from string) *probe {
	l.sport++
	p := &probe{Packet: path.Packet{Proto: host.TCP, From: netip.MustParseAddr(from), SPort: l.sport, To: netip.MustParseAddr("10.1.0.1"), Port: port, In: "c0"}, dev: "e0", number: uint32(l.sport)}
	if strings.HasPrefix(from, "10.4.") {
		p.In, p.dev = "c1", "e1"
	}
	return p
}

// probeBeside is the packet that the rule does not take.
func (l *diffLab) probeBeside(t testing.TB, text string) *probe {
	port, from := uint16(81), "10.1.0.2"
	if text != "" {
		if _, err := fmt.Sscan(text+" "+from, &port, &from); err != nil {
			t.Fatal(err)
		}
	}
	return l.probeTo(t, port, from)
}
