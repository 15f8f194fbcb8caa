package sshsig

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/natwarden/natwarden/internal/lab/labtest"
)

const plan = "{\"steps\": 1}\n"

// office is a folder with keys, in which things are signed.
type office struct {
	t   *testing.T
	dir string
}

func newOffice(t *testing.T) office {
	t.Helper()
	if _, err := os.Stat(Program); err != nil {
		labtest.Unmet(t, err.Error()+": package openssh-client")
	}
	return office{t, t.TempDir()}
}

func (o office) run(stdin string, args ...string) string {
	o.t.Helper()
	cmd := exec.Command(Program, args...)
	cmd.Dir, cmd.Stdin, cmd.Env = o.dir, strings.NewReader(stdin), []string{"LC_ALL=C", "HOME=" + o.dir}
	out, err := cmd.Output()
	if err != nil {
		o.t.Fatalf("ssh-keygen %v: %v", args, err)
	}
	return string(out)
}

// key makes a key and gives its public half without the comment.
func (o office) key(name string) string {
	o.t.Helper()
	return o.keyOf("ed25519", name)
}

func (o office) keyOf(kind, name string) string {
	o.t.Helper()
	o.run("", "-q", "-t", kind, "-N", "", "-C", name, "-f", name)
	data, err := os.ReadFile(filepath.Join(o.dir, name+".pub"))
	if err != nil {
		o.t.Fatal(err)
	}
	return strings.Join(strings.Fields(string(data))[:2], " ")
}

func (o office) sign(name, namespace, text string) []byte {
	o.t.Helper()
	return []byte(o.run(text, "-q", "-Y", "sign", "-n", namespace, "-f", name))
}

func TestVerify(t *testing.T) {
	o := newOffice(t)
	alice, bob := o.key("alice"), o.key("bob")
	o.key("eve")
	good := o.sign("alice", Namespace, plan)
	for name, c := range map[string]struct {
		allowed, message string
		signature        []byte
		who, why         string
	}{
		"alice":             {"# people\nbob@x " + bob + "\nalice@x,al@x " + alice + " her comment\n", plan, good, "alice@x,al@x", ""},
		"a pattern":         {"*@x " + alice + "\n", plan, good, "*@x", ""},
		"for this":          {`alice@x namespaces="git,natwarden" ` + alice + "\n", plan, good, "alice@x", ""},
		"on a later line":   {`alice@x namespaces="git" ` + alice + "\nalice@x " + alice + "\n", plan, good, "alice@x", ""},
		"now":               {`alice@x valid-after="20200101",valid-before="20990101" ` + alice + "\n", plan, good, "alice@x", ""},
		"beside a bad line": {"what is this\nalice@x " + alice + "\n", plan, good, "alice@x", ""},
		"another plan":      {"alice@x " + alice + "\n", plan + " ", good, "", "incorrect signature"},
		"another purpose":   {"alice@x " + alice + "\n", plan, o.sign("alice", "git", plan), "", "namespace does not match"},
		"not for this":      {`alice@x namespaces="git" ` + alice + "\n", plan, good, "", "not permitted for use in signature namespace"},
		"expired":           {`alice@x valid-before="20200101" ` + alice + "\n", plan, good, "", "allowed signers line 1: key has expired"},
		"not yet":           {`alice@x valid-after="20990101" ` + alice + "\n", plan, good, "", "not yet valid"},
		"a stranger":        {"alice@x " + alice + "\nbob@x " + bob + "\n", plan, o.sign("eve", Namespace, plan), "", "no line of the allowed signers has its key"},
		"nobody is allowed": {"", plan, good, "", "no line of the allowed signers has its key"},
		"altered":           {"alice@x " + alice + "\n", plan, []byte(strings.Replace(string(good), "A", "B", 3)), "", "ignature"},
		"no signature":      {"alice@x " + alice + "\n", plan, []byte("hello\n"), "", "missing header"},
		"nothing":           {"alice@x " + alice + "\n", plan, nil, "", "missing header"},
	} {
		who, err := Verify(context.Background(), []byte(c.message), c.signature, []byte(c.allowed))
		if c.why == "" && (err != nil || who.String() != c.who || !strings.HasPrefix(who.Key, "SHA256:")) {
			t.Errorf("%s: %v %v", name, who, err)
		}
		if c.why != "" && (err == nil || !strings.Contains(err.Error(), c.why) || strings.Contains(err.Error(), "/proc/") || strings.Contains(err.Error(), "\n")) {
			t.Errorf("%s: %v %v, want %q", name, who, err, c.why)
		}
	}
}

func TestCertificates(t *testing.T) {
	o := newOffice(t)
	ca := o.key("ca")
	alice := o.key("alice")
	o.run("", "-q", "-s", "ca", "-I", "id", "-n", "alice@x,al@x", "alice.pub")
	plain, certified := o.sign("alice", Namespace, plan), o.sign("alice-cert.pub", Namespace, plan)
	if slices.Equal(plain, certified) {
		t.Fatal("the certificate was not used")
	}
	byKey, err := Verify(context.Background(), []byte(plan), plain, []byte("alice@x "+alice+"\n"))
	if err != nil {
		t.Fatal(err)
	}
	byCA, err := Verify(context.Background(), []byte(plan), certified, []byte("*@x cert-authority "+ca+"\n"))
	if err != nil || byCA.String() != "alice@x,al@x" || byCA.Key != byKey.Key {
		t.Errorf("%v %v, by key %v", byCA, err, byKey)
	}
	for allowed, signature := range map[string][]byte{"*@y cert-authority " + ca: certified, "*@x " + ca: certified, "*@x cert-authority " + ca + "\n": plain} {
		if who, err := Verify(context.Background(), []byte(plan), signature, []byte(allowed+"\n")); err == nil {
			t.Errorf("%s: %v", allowed, who)
		}
	}
}

func TestKindsOfKeys(t *testing.T) {
	o := newOffice(t)
	for _, kind := range []string{"ecdsa", "rsa"} {
		key := o.keyOf(kind, kind)
		if who, err := Verify(context.Background(), []byte(plan), o.sign(kind, Namespace, plan), []byte("alice@x "+key+"\n")); err != nil || who.String() != "alice@x" {
			t.Errorf("%s: %v %v", kind, who, err)
		}
	}
}

func TestNothingOfTheCallerReachesTheProgram(t *testing.T) {
	o := newOffice(t)
	alice := o.key("alice")
	for _, name := range []string{"SSH_ASKPASS", "LD_PRELOAD", "TMPDIR", "SSH_AUTH_SOCK"} {
		t.Setenv(name, "/nonexistent")
	}
	if _, err := Verify(context.Background(), []byte(plan), o.sign("alice", Namespace, plan), []byte("a "+alice+"\n")); err != nil {
		t.Error(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	stop()
	if _, err := Verify(ctx, []byte(plan), o.sign("alice", Namespace, plan), []byte("a "+alice+"\n")); err == nil {
		t.Error("it went on although nobody waits")
	}
}

func TestDistinct(t *testing.T) {
	s := func(key string, principals ...string) Signer { return Signer{principals, key} }
	for name, c := range map[string]struct {
		signers []Signer
		want    int
	}{
		"none":                      {nil, 0},
		"two":                       {[]Signer{s("1", "a"), s("2", "b")}, 2},
		"the same twice":            {[]Signer{s("1", "a"), s("1", "a")}, 1},
		"one key, two names":        {[]Signer{s("1", "a"), s("1", "b")}, 1},
		"one name, two keys":        {[]Signer{s("1", "a"), s("2", "a")}, 1},
		"one name among several":    {[]Signer{s("1", "a", "x"), s("2", "b", "x")}, 1},
		"joined by a third":         {[]Signer{s("1", "a"), s("2", "b"), s("3", "a", "b")}, 1},
		"joined by key and by name": {[]Signer{s("1", "a"), s("2", "b"), s("1", "c"), s("4", "c")}, 2},
	} {
		if got := Distinct(c.signers); got != c.want {
			t.Errorf("%s: %d, want %d", name, got, c.want)
		}
	}
}
