package sshsig

import (
	"context"
	"strings"
	"testing"
)

// certified signs the plan with a certificate that ca made of a new key.
func (o office) certified(name string, options ...string) []byte {
	o.t.Helper()
	o.key(name)
	o.run("", append(append([]string{"-q", "-s", "ca", "-I", "id"}, options...), name+".pub")...)
	return o.sign(name+"-cert.pub", Namespace, plan)
}

// A certificate counts only for people, in its own time, and for the names in it.
func TestCertificatesThatProveNothing(t *testing.T) {
	o := newOffice(t)
	ca := o.key("ca")
	line := "*@x cert-authority " + ca + "\n"
	for name, c := range map[string]struct {
		signature []byte
		allowed   string
		who       string // "" for nobody
	}{
		"good":               {o.certified("good", "-n", "alice@x"), line, "alice@x"},
		"in its time":        {o.certified("now", "-n", "alice@x", "-V", "-1d:+1d"), line, "alice@x"},
		"over":               {o.certified("over", "-n", "alice@x", "-V", "-2d:-1d"), line, ""},
		"not begun":          {o.certified("early", "-n", "alice@x", "-V", "+1d:+2d"), line, ""},
		"of a host":          {o.certified("host", "-h", "-n", "alice@x"), line, ""},
		"another name":       {o.certified("other", "-n", "alice@y"), line, ""},
		"one name that fits": {o.certified("both", "-n", "alice@y,alice@x"), line, "alice@x"},
		"authority is over":  {o.certified("late", "-n", "alice@x"), `*@x cert-authority,valid-before="20200101" ` + ca + "\n", ""},
		"authority of git":   {o.certified("git", "-n", "alice@x"), `*@x cert-authority,namespaces="git" ` + ca + "\n", ""},
		"not this one":       {o.certified("not", "-n", "eve@x"), "!eve@x,*@x cert-authority " + ca + "\n", ""},
	} {
		who, err := Verify(context.Background(), []byte(plan), c.signature, []byte(c.allowed))
		if (err == nil) != (c.who != "") || err == nil && who.String() != c.who {
			t.Errorf("%s: %v %v, want %q", name, who, err, c.who)
		}
	}
}

// One without any name in it is everybody's to some versions of OpenSSH. Two of them must not
// become two people that the list of signers does not name.
func TestACertificateWithoutANameIsNobody(t *testing.T) {
	o := newOffice(t)
	ca := o.key("ca")
	var signers []Signer
	for _, name := range []string{"one", "two"} {
		who, err := Verify(context.Background(), []byte(plan), o.certified(name), []byte("*@x cert-authority "+ca+"\n"))
		if err == nil {
			signers = append(signers, who)
		}
	}
	if n := Distinct(signers); n != 0 {
		t.Errorf("%d people: %+v", n, signers)
	}
}

// Whatever a person does, keys and certificates of theirs are one approval.
func TestOnePersonStaysOne(t *testing.T) {
	o := newOffice(t)
	ca, alice, second := o.key("ca"), o.key("alice"), o.key("second")
	o.run("", "-q", "-s", "ca", "-I", "id", "-n", "al@x", "alice.pub")
	allowed := "alice@x " + alice + "\nalice@x,ally@x " + second + "\n*@x cert-authority " + ca + "\n"
	var signers []Signer
	for _, key := range []string{"alice", "alice-cert.pub", "second", "alice"} {
		who, err := Verify(context.Background(), []byte(plan), o.sign(key, Namespace, plan), []byte(allowed))
		if err != nil {
			t.Fatal(key, err)
		}
		signers = append(signers, who)
	}
	if n := Distinct(signers); n != 1 {
		t.Errorf("%d people: %+v", n, signers)
	}
}

// An allowed_signers file with what a hostile or careless hand leaves in it.
func TestOddSignersFiles(t *testing.T) {
	o := newOffice(t)
	alice := o.key("alice")
	good := o.sign("alice", Namespace, plan)
	for name, c := range map[string]struct {
		allowed string
		fits    bool
	}{
		"carriage returns":       {"alice@x " + alice + "\r\n", true},
		"no end of line":         {"alice@x " + alice, true},
		"a comment":              {"#alice@x " + alice + "\n", false},
		"the key alone":          {alice + "\n", false},
		"an unknown option":      {"alice@x no-such-option " + alice + "\n", false},
		"a torn option":          {`alice@x namespaces="natwarden ` + alice + "\n", false},
		"a namespace in a word":  {`alice@x namespaces="natwarden2,xnatwarden" ` + alice + "\n", false},
		"a pattern of them":      {`alice@x namespaces="nat*" ` + alice + "\n", true},
		"not this namespace":     {`alice@x namespaces="!natwarden,*" ` + alice + "\n", false},
		"over before it began":   {`alice@x valid-after="20300101",valid-before="20200101" ` + alice + "\n", false},
		"a date that is none":    {`alice@x valid-before="soon" ` + alice + "\n", false},
		"the key cut short":      {"alice@x " + alice[:len(alice)-8] + "\n", false},
		"zeros":                  {strings.Repeat("\x00", 100) + "\nalice@x " + alice + "\n", true},
		"a name as of an option": {"-Overify-time=20000101 " + alice + "\n", true},
	} {
		who, err := Verify(context.Background(), []byte(plan), good, []byte(c.allowed))
		if (err == nil) != c.fits {
			t.Errorf("%s: %v %v", name, who, err)
		}
	}
}
