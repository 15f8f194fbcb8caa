package nft

// enum nft_meta_keys of include/uapi/linux/netfilter/nf_tables.h; the bridge
// keys from 36 on are Linux 6.18's.
const (
	metaLen = iota
	metaProtocol
	metaPriority
	metaMark
	metaIif
	metaOif
	metaIifname
	metaOifname
	metaIiftype
	metaOiftype
	metaSkuid
	metaSkgid
	metaNftrace
	metaRtclassid
	metaSecmark
	metaNfproto
	metaL4proto
	metaBriIifname
	metaBriOifname
	metaPkttype
	metaCPU
	metaIifgroup
	metaOifgroup
	metaCgroup
	metaRandom
	metaSecpath
	metaIifkind
	metaOifkind
	metaBriIifpvid
	metaBriIifvproto
	metaTime
	metaDay
	metaHour
	metaSdif
	metaSdifname
	metaBriBroute
	metaBriIifhwaddr
)

// enum nft_ct_keys
const (
	ctState = iota
	ctDirection
	ctStatus
	ctMark
	ctSecmark
	ctExpiration
	ctHelper
	ctL3proto
	ctSrc
	ctDst
	ctProtocol
	ctProtoSrc
	ctProtoDst
	ctLabels
	ctPackets
	ctBytes
	ctAvgpkt
	ctZone
	ctEventmask
	ctSrcIP
	ctDstIP
	ctSrcIP6
	ctDstIP6
	ctID
)

// keyName is how nft calls a meta or ct key, and how its values are written.
type keyName struct {
	name   string
	format format
}

var metaNames = []keyName{
	metaLen: {"meta length", asHostNumber}, metaProtocol: {"meta protocol", asEther},
	metaPriority: {"meta priority", asHostHex}, metaMark: {"mark", asHostHex},
	metaIif: {"iif", asIfindex}, metaOif: {"oif", asIfindex},
	metaIifname: {"iifname", asName}, metaOifname: {"oifname", asName},
	metaIiftype: {"iiftype", asIftype}, metaOiftype: {"oiftype", asIftype},
	metaSkuid: {"meta skuid", asHostNumber}, metaSkgid: {"meta skgid", asHostNumber},
	metaNftrace: {"meta nftrace", asNumber}, metaRtclassid: {"rtclassid", asHostHex},
	metaSecmark: {"meta secmark", asHostHex}, metaNfproto: {"meta nfproto", asNfproto},
	metaL4proto: {"meta l4proto", asProto}, metaBriIifname: {"meta ibrname", asName},
	metaBriOifname: {"meta obrname", asName}, metaPkttype: {"pkttype", asPkttype},
	metaCPU: {"cpu", asHostNumber}, metaIifgroup: {"iifgroup", asHostNumber},
	metaOifgroup: {"oifgroup", asHostNumber}, metaCgroup: {"meta cgroup", asHostNumber},
	metaRandom: {"meta random", asDecimal}, metaSecpath: {"meta ipsec", asPresence},
	metaIifkind: {"meta iifkind", asName}, metaOifkind: {"meta oifkind", asName},
	metaBriIifpvid: {"meta ibrpvid", asHostNumber}, metaBriIifvproto: {"meta ibrvproto", asEther},
	metaTime: {"meta time", asTime}, metaDay: {"meta day", asDay}, metaHour: {"meta hour", asHour},
	metaSdif: {"meta sdif", asIfindex}, metaSdifname: {"meta sdifname", asName},
	metaBriBroute: {"meta broute", asHostNumber}, metaBriIifhwaddr: {"meta ibrhwaddr", asMAC},
}

var ctNames = []keyName{
	ctState: {"state", asCTState}, ctDirection: {"direction", asDirection}, ctStatus: {"status", asCTStatus},
	ctMark: {"mark", asHostHex}, ctSecmark: {"secmark", asHostHex}, ctExpiration: {"expiration", asHostNumber},
	ctHelper: {"helper", asName}, ctL3proto: {"l3proto", asNfproto}, ctSrc: {"saddr", asAddr}, ctDst: {"daddr", asAddr},
	ctProtocol: {"protocol", asProto}, ctProtoSrc: {"proto-src", asDecimal}, ctProtoDst: {"proto-dst", asDecimal},
	ctLabels: {"label", asLabel}, ctPackets: {"packets", asHostNumber}, ctBytes: {"bytes", asHostNumber},
	ctAvgpkt: {"avgpkt", asHostNumber}, ctZone: {"zone", asHostNumber}, ctEventmask: {"event", asHostHex},
	ctSrcIP: {"ip saddr", asAddr}, ctDstIP: {"ip daddr", asAddr},
	ctSrcIP6: {"ip6 saddr", asAddr}, ctDstIP6: {"ip6 daddr", asAddr}, ctID: {"id", asHostNumber},
}
