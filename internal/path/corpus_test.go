package path_test

import (
	"bufio"
	"context"
	"encoding/json"
	"net/netip"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/natwarden/natwarden/internal/host"
	"github.com/natwarden/natwarden/internal/lab/labtest"
	"github.com/natwarden/natwarden/internal/path"
)

// ruleset is an entry of the index of shared rule sets.
type ruleset struct {
	ID    string          `json:"id"`
	Kind  string          `json:"kind"`
	File  string          `json:"file"`
	Loads map[string]bool `json:"loads_as_is"`
}

// corpus gives the shared rule sets, or skips.
func corpus(t *testing.T) (dir string, sets []ruleset) {
	dir = labtest.Shared(t, "corpora")
	index, err := os.Open(filepath.Join(dir, "index.jsonl"))
	if err != nil {
		t.Fatal(err)
	}
	defer index.Close()
	in := bufio.NewScanner(index)
	in.Buffer(nil, 1<<20)
	for in.Scan() {
		var r ruleset
		if err := json.Unmarshal(in.Bytes(), &r); err != nil {
			t.Fatal(err)
		}
		sets = append(sets, r)
	}
	return dir, sets
}

// loaders are the programs that take a rule set of a kind.
func (r ruleset) loaders() [][]string {
	var out [][]string
	switch {
	case r.Kind == "nft" && r.Loads["nft"]:
		out = append(out, []string{"nft", "-f", "-"})
	case r.Kind == "nftjson" && r.Loads["nft"]:
		out = append(out, []string{"nft", "-j", "-f", "-"})
	case r.Kind == "ipt4" && r.Loads["legacy"]:
		out = append(out, []string{"iptables-legacy-restore"}, []string{"iptables-nft-restore"})
	case r.Kind == "ipt6" && r.Loads["legacy"]:
		out = append(out, []string{"ip6tables-legacy-restore"}, []string{"ip6tables-nft-restore"})
	}
	return out
}

// Rule sets of other projects: ten packets each, no panic, and no answer
// without its reason. NATWARDEN_CORPUS=all takes every one of them.
func TestEveryAnswerHasItsReason(t *testing.T) {
	dir, sets := corpus(t)
	every := 12
	if os.Getenv("NATWARDEN_CORPUS") == "all" {
		every = 1
	}
	kinds, loaded := map[string]int{}, 0
	for n, r := range sets {
		if n%every != 0 {
			continue
		}
		text, err := os.ReadFile(filepath.Join(dir, r.File))
		if err != nil {
			t.Fatal(err)
		}
		for _, argv := range r.loaders() {
			if w, done, ok := loadInto(t, string(text), argv); ok {
				loaded++
				for _, p := range tenPackets() {
					holdReasons(t, r.ID, path.Follow(w, p), kinds)
				}
				done()
			}
		}
	}
	t.Logf("%d rule sets: %v", loaded, kinds)
	if loaded == 0 {
		t.Error("no rule set was loaded")
	}
}

// loadInto makes a namespace with two interfaces and loads the rules.
func loadInto(t *testing.T, text string, argv []string) (path.World, func(), bool) {
	l := &diffLab{host: labtest.New(t, "nft", "iptables-legacy-restore")}
	batch(t, l.host, "link set lo up\nlink add eth0 type veth peer name p0\nlink add eth1 type veth peer name p1\n"+
		"addr add 10.1.0.1/24 dev eth0\naddr add fd01::1/64 dev eth0 nodad\naddr add 10.2.0.1/24 dev eth1\naddr add fd02::1/64 dev eth1 nodad\n"+
		"link set eth0 up\nlink set p0 up\nlink set eth1 up\nlink set p1 up\n")
	l.host.MustDo(t, func(context.Context) error { return os.WriteFile("/proc/sys/net/ipv4/ip_forward", []byte("1"), 0) })
	ctx, stop := context.WithTimeout(context.Background(), time.Minute)
	defer stop()
	if _, err := l.host.Run(ctx, text, argv...); err != nil {
		return path.World{}, nil, false
	}
	hangUp := l.listen(t, []socketSpec{{"tcp", "0.0.0.0", 22, false, "", false}, {"tcp", "::", 80, false, "", false}, {"udp", "0.0.0.0", 53, false, "", false}})
	w, done, err := l.world(t)
	if err != nil {
		t.Fatal(err)
	}
	return w, func() { done(); hangUp(); l.host.Close() }, true
}

func tenPackets() []path.Packet {
	var out []path.Packet
	v4, v6 := netip.MustParseAddr("10.1.0.1"), netip.MustParseAddr("fd01::1")
	for _, port := range []uint16{22, 80, 443} {
		out = append(out, path.Packet{Proto: host.TCP, From: netip.MustParseAddr("10.1.0.2"), SPort: 40000, To: v4, Port: port, In: "eth0"},
			path.Packet{Proto: host.TCP, To: v6, Port: port, In: "eth0", Via: netip.MustParseAddr("fd01::2")})
	}
	return append(out, path.Packet{Proto: host.UDP, From: netip.MustParseAddr("10.1.0.2"), To: v4, Port: 53, In: "eth0"},
		path.Packet{Proto: host.TCP, To: netip.MustParseAddr("10.2.0.9"), Port: 8080, In: "eth0", Via: netip.MustParseAddr("10.1.0.2")},
		path.Packet{Proto: host.TCP, To: v4, Port: 80},
		path.Packet{Proto: host.TCP, From: v4, To: v4, Port: 80, Own: true})
}

func holdReasons(t *testing.T, id string, a path.Answer, kinds map[string]int) {
	t.Helper()
	if len(a.Outcomes) == 0 {
		t.Errorf("%s: no outcome", id)
	}
	for _, o := range a.Outcomes {
		kinds[o.Kind]++
		if o.Certain {
			kinds["certain"]++
		}
		if o.Reason == "" || o.Certain && len(a.Outcomes) > 1 || !o.Certain && o.Kind != path.Unknown && o.Condition == "" {
			t.Errorf("%s: an outcome without its reason or condition: %+v", id, o)
		}
		if (o.AnsweredBy == "") != (o.Kind == path.Nobody || o.Kind == path.Unknown) || (o.Nobody != "") != (o.Kind == path.Nobody) {
			t.Errorf("%s: an outcome that contradicts itself: %+v", id, o)
		}
	}
}
