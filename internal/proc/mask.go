package proc

import (
	"path"
	"regexp"
	"strings"
)

// masked stands where a secret was.
const masked = "***"

// secretName is how the names of options that take a secret end, once dashes,
// dots and underscores part their words and case does not count.
const secretName = `(?:password|passwd|passphrase|requirepass|masterauth|secret|secrets|token|tokens|` +
	`api-?key|access-?key|secret-?key|private-?key|auth-?key|pre-?shared-?key|proxyauth|` +
	`(?:^|[-_. "',;&?])(?:pass|pwd|pw|psk|auth|passin|passout|credential|credentials))`

var (
	// an option that is a secret's name as a whole: --db-password, -Dx.token, PGPASSWORD
	secretOption = regexp.MustCompile(`(?i)^[-/+]{0,2}[\w.-]*?` + secretName + `(?:-(?:required|value|string))?$`)
	// a name and its value inside of an argument: passphrase=x, "--token x" in sh -c
	secretPair = regexp.MustCompile(`(?i)(` + secretName + `["']?(?:\s*[=:]\s*|\s+["']?))([^\s,;&"']+)`)
	// an option with its value: --password=x
	optionValue = regexp.MustCompile(`(?s)^([-/+]{0,2}[\w.-]+)([=:])(.+)$`)
	// scheme://user:password@host; the last @ before the path ends the user info
	urlUser = regexp.MustCompile(`([A-Za-z][A-Za-z0-9+.-]*://)[^/?#\s"']*@`)
)

// shortSecrets are programs whose one-letter options take a secret, apart or
// attached.
var shortSecrets = map[string]string{
	"sshpass": "p", "mysql": "p", "mysqldump": "p", "mysqladmin": "p", "mariadb": "p", "mongo": "p", "mongosh": "p",
	"curl": "uU", "redis-cli": "a", "ldapsearch": "w", "ldapmodify": "w", "smbclient": "U",
	"ss-server": "k", "ss-local": "k", "ss-redir": "k", "ss-tunnel": "k", "ssserver": "k", "sslocal": "k",
}

// Mask gives a copy of a process's arguments in which the values of options
// that look like passwords, and user info in URLs, are replaced by ***. It would
// rather hide too much: the report is read and kept by more people than /proc.
//
// A command line may be megabytes long and is anybody's to write: what is
// beyond limits is left out, and said to be.
func Mask(args []string) []string {
	out := shorten(args)
	short := ""
	if len(out) > 0 {
		short = shortSecrets[path.Base(out[0])]
	}
	for i := 1; i < len(out); i++ {
		name := out[i]
		if out[i] = maskOne(name, short); out[i] != name || i+1 == len(out) {
			continue
		}
		if takesSecret(name, short) && !looksLikeOption(out[i+1]) {
			i++
			out[i] = masked
		}
	}
	if len(out) > 0 {
		out[0] = maskInside(out[0]) // a program may write its whole command line there
	}
	return out
}

// takesSecret says whether the argument after this one is a secret.
func takesSecret(arg, short string) bool {
	if len(arg) == 2 && arg[0] == '-' && strings.IndexByte(short, arg[1]) >= 0 {
		return true
	}
	return strings.HasPrefix(arg, "-") && mentionsSecret(arg) && secretOption.MatchString(arg)
}

var optionLike = regexp.MustCompile(`^--?[A-Za-z][\w-]*(=|$)`)

func looksLikeOption(arg string) bool { return optionLike.MatchString(arg) }

// maskOne hides what one argument holds by itself.
func maskOne(arg, short string) string {
	if len(arg) > 2 && arg[0] == '-' && strings.IndexByte(short, arg[1]) >= 0 {
		return arg[:2] + masked
	}
	if !mentionsSecret(arg) {
		return maskInside(arg)
	}
	if m := optionValue.FindStringSubmatch(arg); m != nil && secretOption.MatchString(m[1]) {
		return m[1] + m[2] + masked
	}
	return maskInside(arg)
}

func maskInside(arg string) string {
	if strings.Contains(arg, "://") {
		arg = urlUser.ReplaceAllString(arg, "${1}"+masked+"@")
	}
	if mentionsSecret(arg) {
		arg = secretPair.ReplaceAllString(arg, "${1}"+masked)
	}
	return arg
}

// mentionsSecret is a quick no for nearly all arguments: each name of a secret
// holds one of these.
func mentionsSecret(arg string) bool {
	lower := strings.ToLower(arg)
	for _, stem := range [...]string{"pass", "pw", "psk", "auth", "secret", "token", "key", "cred"} {
		if strings.Contains(lower, stem) {
			return true
		}
	}
	return false
}

const (
	longestArg   = 2 << 10 // bytes of one argument
	longestTotal = 8 << 10 // bytes of all
	leftOut      = "…"
)

// shorten copies the arguments within the limits. An argument is cut where
// a word ends, so that no half of a URL or a secret is left to be mistaken.
func shorten(args []string) []string {
	out := make([]string, 0, len(args))
	left := longestTotal
	for _, arg := range args {
		if left <= 0 {
			return append(out, leftOut)
		}
		if limit := min(longestArg, left); len(arg) > limit {
			arg = arg[:strings.LastIndexAny(arg[:limit], " \t\n")+1] + leftOut
		}
		left -= len(arg) + 1
		out = append(out, arg)
	}
	return out
}
