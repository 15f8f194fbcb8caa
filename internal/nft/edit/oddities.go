package edit

import (
	"bytes"

	"golang.org/x/sys/unix"

	"github.com/natwarden/natwarden/internal/nft"
)

const osfFlags = 3 // NFTA_OSF_FLAGS

// acceptable gives a list of expressions in the form that the kernel takes.
// It gives out three of them with a zero that it refuses to take in: the flags of
// osf and of a written TCP option, the timeout of a dynset (net/netfilter/nft_osf.c;
// nft_exthdr_tcp_set_init in nft_exthdr.c; nft_dynset.c). Every other list is the
// same bytes.
func acceptable(list []byte) []byte {
	exprs, _ := nft.Expressions(list)
	odd := false
	for _, e := range exprs {
		odd = odd || refusedZero(e) != 0
	}
	if !odd {
		return list
	}
	return rewrite(list, func(_ uint16, elem []byte) []byte {
		e := nft.Expr{Name: nft.Text(nft.Find(elem, unix.NFTA_EXPR_NAME)), Data: nft.Find(elem, unix.NFTA_EXPR_DATA)}
		without := refusedZero(e)
		if without == 0 {
			return elem
		}
		return rewriteOne(elem, unix.NFTA_EXPR_DATA, func(data []byte) []byte { return drop(data, without) })
	})
}

// refusedZero is the type of the attribute of an expression that is zero and
// may not be there then; 0 for none.
func refusedZero(e nft.Expr) uint16 {
	zero := func(typ uint16) bool {
		return nft.Find(e.Data, typ) != nil && bytes.Count(nft.Find(e.Data, typ), []byte{0}) == len(nft.Find(e.Data, typ))
	}
	switch {
	case e.Name == "osf" && zero(osfFlags):
		return osfFlags
	case e.Name == "exthdr" && nft.Find(e.Data, unix.NFTA_EXTHDR_SREG) != nil && zero(unix.NFTA_EXTHDR_FLAGS):
		return unix.NFTA_EXTHDR_FLAGS
	case e.Name == "dynset" && zero(unix.NFTA_DYNSET_TIMEOUT):
		return unix.NFTA_DYNSET_TIMEOUT
	}
	return 0
}

func drop(list []byte, which uint16) []byte {
	var out []byte
	_ = nft.Walk(list, func(typ uint16, data []byte) {
		if typ != which {
			out = nft.AppendAttr(out, typ, data)
		}
	})
	return out
}
