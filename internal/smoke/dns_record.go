package smoke

import (
	"fmt"
	"net/netip"
	"strings"

	"golang.org/x/net/dns/dnsmessage"
)

// record writes a record of the type that was asked for as a policy does; ""
// for any other, such as the CNAME on the way to an address.
func record(body dnsmessage.ResourceBody, kind string) string {
	text := ""
	switch b := body.(type) {
	case *dnsmessage.AResource:
		text = only("A", kind, netip.AddrFrom4(b.A).String())
	case *dnsmessage.AAAAResource:
		text = only("AAAA", kind, netip.AddrFrom16(b.AAAA).String())
	case *dnsmessage.CNAMEResource:
		text = only("CNAME", kind, b.CNAME.String())
	case *dnsmessage.NSResource:
		text = only("NS", kind, b.NS.String())
	case *dnsmessage.MXResource:
		text = only("MX", kind, fmt.Sprintf("%d %s", b.Pref, b.MX))
	case *dnsmessage.TXTResource:
		text = only("TXT", kind, strings.Join(b.TXT, ""))
	}
	return canonical(text, kind)
}

func only(is, kind, text string) string {
	if is != kind {
		return ""
	}
	return text
}

// canonical writes equal values alike: addresses in their short form, names in
// small letters and without the last dot. A text is what it is.
func canonical(text, kind string) string {
	switch kind {
	case "TXT":
		return text
	case "A", "AAAA":
		if a, err := netip.ParseAddr(text); err == nil {
			return a.String()
		}
	}
	return strings.ToLower(strings.TrimSuffix(strings.Join(strings.Fields(text), " "), "."))
}
