package main

import (
	"fmt"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/natwarden/natwarden/audit"
	"github.com/natwarden/natwarden/internal/host"
	"github.com/natwarden/natwarden/internal/lab/labtest"
	"github.com/natwarden/natwarden/internal/netns"
	"github.com/natwarden/natwarden/internal/path"
	"github.com/natwarden/natwarden/internal/portmap"
	"github.com/natwarden/natwarden/internal/walk"
)

// What the port map of 50,000 rules costs beside reading them from the kernel:
// times in milliseconds, and the memory that is held with the map and without it in MiB.
//
//	go test -run '^$' -bench PortMapBesideReading -benchtime 5x ./cmd/natwarden
func BenchmarkPortMapBesideReading(b *testing.B) {
	b.Run("one chain", func(b *testing.B) { benchmarkCost(b, oneLongChain(50000)) })
	b.Run("3000 services", func(b *testing.B) { benchmarkCost(b, likeKubeProxy(3000, 7)) })
}

func benchmarkCost(b *testing.B, rules string) {
	s := labtest.New(b, "iptables-nft-restore")
	s.MustRun(b, "", "ip", "link", "add", "eth0", "type", "veth", "peer", "name", "far")
	s.MustRun(b, "", "ip", "addr", "add", "10.1.0.1/24", "dev", "eth0")
	s.MustRun(b, "", "ip", "link", "set", "eth0", "up")
	s.MustRun(b, "", "ip", "link", "set", "far", "up")
	s.MustRun(b, rules, "iptables-nft-restore")
	id, err := s.Handle().ID()
	if err != nil {
		b.Fatal(err)
	}
	one := &spaces{found: []netns.Space{{ID: id, Handle: s.Handle()}}}
	in, err := inputFor(one.toAudit(), one.labels(), nil)
	if err != nil {
		b.Fatal(err)
	}
	var reading, mapping time.Duration
	var without, with uint64
	for b.Loop() {
		began := time.Now()
		state, err := audit.Look(b.Context(), in)
		if err != nil {
			b.Fatal(err)
		}
		space := state.Spaces[0]
		rows := walk.Redirects(space, walk.Options{SocketsRead: true})
		reading += time.Since(began)
		without = held()
		began = time.Now()
		m := portmap.Of(path.World{Space: space, Routes: space.Routes, Sockets: true}, rows)
		mapping += time.Since(began)
		with = held()
		mustAnswer(b, m, rows)
	}
	n := float64(b.N)
	b.ReportMetric(float64(reading.Milliseconds())/n, "read-ms/op")
	b.ReportMetric(float64(mapping.Milliseconds())/n, "map-ms/op")
	b.ReportMetric(float64(mapping)/float64(reading), "map/read")
	b.ReportMetric(float64(without>>20), "MiB-read")
	b.ReportMetric(float64(with>>20), "MiB-map")
}

// held is the memory in use that a collection does not free, in bytes.
func held() uint64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapInuse
}

// mustAnswer holds that it was the map of the rules.
func mustAnswer(b *testing.B, m *portmap.Map, rows []host.Redirect) {
	b.Helper()
	lines := 0
	for i := range rows {
		lines += len(m.Of(i))
	}
	if len(rows) < 10000 || lines < 10000 {
		b.Fatalf("%d redirects gave %d lines", len(rows), lines)
	}
}

// oneLongChain is n DNAT rules in PREROUTING, as iptables-restore reads them.
func oneLongChain(n int) string {
	var t strings.Builder
	t.WriteString("*nat\n")
	for i := range n {
		fmt.Fprintf(&t, "-A PREROUTING -d 172.16.%d.%d/32 -p tcp -m tcp --dport %d -j DNAT --to-destination 10.128.%d.%d:8080\n",
			i>>8&255, i&255, 1024+i%60000, i>>8&255, i&255)
	}
	t.WriteString("COMMIT\n")
	return t.String()
}

// likeKubeProxy is what kube-proxy writes for services of so many endpoints each.
func likeKubeProxy(services, endpoints int) string {
	var chains, jumps, rules strings.Builder
	for i := range services {
		fmt.Fprintf(&chains, ":SVC-%d - [0:0]\n", i)
		fmt.Fprintf(&jumps, "-A SERVICES -d 172.16.%d.%d/32 -p tcp -m tcp --dport 80 -j SVC-%d\n", i>>8&255, i&255, i)
		for e := range endpoints {
			pod := i*endpoints + e
			chance := ""
			if e < endpoints-1 {
				chance = fmt.Sprintf("-m statistic --mode random --probability %.8f ", 1/float64(endpoints-e))
			}
			fmt.Fprintf(&chains, ":SEP-%d - [0:0]\n", pod)
			fmt.Fprintf(&rules, "-A SVC-%d %s-j SEP-%d\n", i, chance, pod)
			fmt.Fprintf(&rules, "-A SEP-%d -p tcp -m tcp -j DNAT --to-destination 10.%d.%d.%d:8080\n", pod, 128+pod>>16, pod>>8&255, pod&255)
		}
	}
	return "*nat\n:SERVICES - [0:0]\n" + chains.String() + "-A PREROUTING -j SERVICES\n" + jumps.String() + rules.String() + "COMMIT\n"
}
