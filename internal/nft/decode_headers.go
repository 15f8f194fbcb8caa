package nft

import "github.com/natwarden/natwarden/internal/host"

// headerField is a field of a header as nft names it: offset and length in bits.
type headerField struct {
	at, bits int
	name     string
	format   format
}

var (
	etherFields = []headerField{{0, 48, "ether daddr", asMAC}, {48, 48, "ether saddr", asMAC}, {96, 16, "ether type", asEther},
		{116, 12, "vlan id", asDecimal}, {128, 16, "vlan type", asEther}}
	ip4Fields = []headerField{{96, 32, "ip saddr", asAddr}, {128, 32, "ip daddr", asAddr}, {72, 8, "ip protocol", asProto},
		{0, 4, "ip version", asNumber}, {4, 4, "ip hdrlength", asNumber}, {8, 6, "ip dscp", asNumber}, {14, 2, "ip ecn", asNumber},
		{16, 16, "ip length", asDecimal}, {32, 16, "ip id", asDecimal}, {48, 16, "ip frag-off", asNumber}, {64, 8, "ip ttl", asDecimal},
		{80, 16, "ip checksum", asNumber}}
	ip6Fields = []headerField{{64, 128, "ip6 saddr", asAddr}, {192, 128, "ip6 daddr", asAddr}, {48, 8, "ip6 nexthdr", asProto},
		{0, 4, "ip6 version", asNumber}, {4, 6, "ip6 dscp", asNumber}, {10, 2, "ip6 ecn", asNumber}, {12, 20, "ip6 flowlabel", asNumber},
		{32, 16, "ip6 length", asDecimal}, {56, 8, "ip6 hoplimit", asDecimal}}
	arpFields = []headerField{{0, 16, "arp htype", asDecimal}, {16, 16, "arp ptype", asEther}, {32, 8, "arp hlen", asDecimal},
		{40, 8, "arp plen", asDecimal}, {48, 16, "arp operation", asDecimal}, {64, 48, "arp saddr ether", asMAC},
		{112, 32, "arp saddr ip", asAddr}, {144, 48, "arp daddr ether", asMAC}, {192, 32, "arp daddr ip", asAddr}}
	anyPortFields = portFields("th")

	transportFields = map[host.Proto][]headerField{
		host.TCP: append(portFields("tcp"), headerField{32, 32, "tcp sequence", asDecimal}, headerField{64, 32, "tcp ackseq", asDecimal},
			headerField{96, 4, "tcp doff", asDecimal}, headerField{104, 8, "tcp flags", asTCPFlags}, headerField{112, 16, "tcp window", asDecimal},
			headerField{128, 16, "tcp checksum", asNumber}, headerField{144, 16, "tcp urgptr", asDecimal}),
		host.UDP:     append(portFields("udp"), headerField{32, 16, "udp length", asDecimal}, headerField{48, 16, "udp checksum", asNumber}),
		host.UDPLite: append(portFields("udplite"), headerField{32, 16, "udplite csumcov", asDecimal}),
		host.SCTP:    append(portFields("sctp"), headerField{32, 32, "sctp vtag", asNumber}),
		host.DCCP:    append(portFields("dccp"), headerField{67, 4, "dccp type", asDecimal}),
		host.ICMP: {{0, 8, "icmp type", asICMP}, {8, 8, "icmp code", asDecimal}, {32, 16, "icmp id", asDecimal},
			{48, 16, "icmp sequence", asDecimal}, {32, 32, "icmp gateway", asDecimal}},
		host.ICMPv6: {{0, 8, "icmpv6 type", asICMP6}, {8, 8, "icmpv6 code", asDecimal}, {32, 16, "icmpv6 id", asDecimal},
			{48, 16, "icmpv6 sequence", asDecimal}, {32, 32, "icmpv6 mtu", asDecimal}},
		host.ESP: {{0, 32, "esp spi", asDecimal}, {32, 32, "esp sequence", asDecimal}},
		host.AH:  {{0, 8, "ah nexthdr", asProto}, {8, 8, "ah hdrlength", asDecimal}, {32, 32, "ah spi", asDecimal}},
	}
)

func portFields(proto string) []headerField {
	return []headerField{{0, 16, proto + " sport", asDecimal}, {16, 16, proto + " dport", asDecimal}}
}
