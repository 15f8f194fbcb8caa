package nft

// step is what one expression does.
type step struct {
	attrs  int  // the highest attribute that is understood
	native bool // iptables-nft never writes it
	run    func(*machine, *fields)
}

// steps are the expressions of the kernel (net/netfilter/nft_*.c, Linux 6.18).
// One without a function changes nothing that matters here: it counts, logs,
// or changes what no redirect depends on.
var steps = map[string]step{
	"counter": {}, "log": {}, "last": {native: true}, "notrack": {native: true, run: (*machine).doNotrack}, "flow_offload": {native: true},

	"payload": {attrs: 8, run: (*machine).doPayload},
	"meta":    {attrs: 3, run: (*machine).doMeta},
	"ct":      {attrs: 4, run: (*machine).doCT},
	"fib":     {attrs: 3, native: true, run: (*machine).doFib},
	"rt":      {attrs: 2, native: true, run: (*machine).doRt},
	"socket":  {attrs: 3, native: true, run: (*machine).doSocket},
	"exthdr":  {attrs: 7, native: true, run: (*machine).doExthdr},
	"osf":     {attrs: 3, native: true, run: (*machine).doOsf},
	"xfrm":    {attrs: 4, native: true, run: (*machine).doXfrm},
	"tunnel":  {attrs: 3, native: true, run: (*machine).doTunnel},
	"inner":   {attrs: 5, native: true, run: (*machine).doInner},

	"immediate": {attrs: 2, run: (*machine).doImmediate},
	"bitwise":   {attrs: 8, run: (*machine).doBitwise},
	"byteorder": {attrs: 5, run: (*machine).doByteorder},
	"numgen":    {attrs: 4, native: true, run: (*machine).doNumgen},
	"hash":      {attrs: 9, native: true, run: (*machine).doHash},

	"cmp":       {attrs: 3, run: (*machine).doCmp},
	"range":     {attrs: 4, run: (*machine).doRange},
	"lookup":    {attrs: 5, run: (*machine).doLookup},
	"dynset":    {attrs: 10, native: true, run: (*machine).doDynset},
	"objref":    {attrs: 5, native: true, run: (*machine).doObjref},
	"limit":     {attrs: 6, run: (*machine).doLimit},
	"quota":     {attrs: 4, native: true, run: (*machine).doQuota},
	"connlimit": {attrs: 2, native: true, run: (*machine).doConnlimit},

	"nat":      {attrs: 7, native: true, run: (*machine).doNat},
	"masq":     {attrs: 3, native: true, run: (*machine).doMasq},
	"redir":    {attrs: 3, native: true, run: (*machine).doRedir},
	"tproxy":   {attrs: 3, native: true, run: (*machine).doTproxy},
	"fwd":      {attrs: 3, native: true, run: (*machine).doFwd},
	"dup":      {attrs: 2, native: true, run: (*machine).doDup},
	"queue":    {attrs: 4, native: true, run: (*machine).doQueue},
	"reject":   {native: true, attrs: 2, run: (*machine).doReject},
	"synproxy": {native: true},

	"match":  {attrs: 3, run: (*machine).doMatch},
	"target": {attrs: 3, run: (*machine).doTarget},
}
