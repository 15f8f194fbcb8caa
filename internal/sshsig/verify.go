package sshsig

import (
	"context"
	"errors"
	"fmt"
	"os"
	"regexp"
	"strings"
)

// Namespace is what a signature is for (ssh-keygen -Y sign -n natwarden): one
// made for another purpose approves nothing.
const Namespace = "natwarden"

// Signer is whose signature it is.
type Signer struct {
	Principals []string // of the line of the allowed signers, or of the certificate
	Key        string   // SHA256:… of the key, without its certificate
}

// String names the signer as people know them.
func (s Signer) String() string { return strings.Join(s.Principals, ",") }

// errNobody is a key that no line names, or not now.
var errNobody = errors.New("no line of the allowed signers has its key")

// Verify says whose signature of message it is. allowed is the text of an
// allowed_signers file. The error says in words why it approves nothing.
func Verify(ctx context.Context, message, signature, allowed []byte) (Signer, error) {
	k, err := newKeygen(signature, allowed)
	if err != nil {
		return Signer{}, err
	}
	defer k.close()
	principals, err := k.principals(ctx)
	if err != nil {
		return Signer{}, err
	}
	for _, p := range principals {
		var key string
		if key, err = k.verify(ctx, p, message); err == nil {
			return Signer{principals, key}, nil
		}
	}
	return Signer{}, err
}

// keygen is ssh-keygen with the files that it is to look at.
type keygen struct{ signature, allowed *os.File }

func newKeygen(signature, allowed []byte) (k keygen, err error) {
	if k.signature, err = inMemory("signature", signature); err != nil {
		return k, err
	}
	if k.allowed, err = inMemory("allowed_signers", allowed); err != nil {
		k.signature.Close()
	}
	return k, err
}

func (k keygen) close() {
	k.signature.Close()
	k.allowed.Close()
}

// principals are those of the first line that has the signature's key.
func (k keygen) principals(ctx context.Context) ([]string, error) {
	out, err := k.run(ctx, nil, "-Y", "find-principals", "-s", signaturePath, "-f", allowedPath)
	if err != nil {
		return nil, err
	}
	principals := strings.FieldsFunc(out, func(r rune) bool { return r == '\n' })
	if len(principals) == 0 {
		return nil, errNobody
	}
	return principals, nil
}

// good is what ssh-keygen says of a good signature (sig_verify in ssh-keygen.c).
var good = regexp.MustCompile(`^Good "` + Namespace + `" signature for .+ with \S+ key (SHA256:\S+)\n$`)

// verify proves the signature as that of one principal and gives its key.
func (k keygen) verify(ctx context.Context, principal string, message []byte) (key string, err error) {
	// -I takes the next word whatever it begins with.
	out, err := k.run(ctx, message, "-Y", "verify", "-n", Namespace, "-I", principal, "-s", signaturePath, "-f", allowedPath)
	if err != nil {
		return "", err
	}
	m := good.FindStringSubmatch(out)
	if m == nil {
		return "", fmt.Errorf("ssh-keygen said of it what natwarden does not know: %q", out)
	}
	return m[1], nil
}
