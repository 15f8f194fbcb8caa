package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"

	"github.com/natwarden/natwarden/policy"
)

const (
	defaultPolicy = "/etc/natwarden/policy.yaml"
	builtinPolicy = policy.BuiltinPath
)

// policyFile loads the policy that the command line or the default names; nil
// where none is named and the default does not exist.
func (a *app) policyFile() (*policy.Policy, error) {
	path := a.Policy
	switch path {
	case builtinPolicy:
		return policy.Builtin(), nil
	case "":
		if _, err := os.Lstat(defaultPolicy); errors.Is(err, fs.ErrNotExist) {
			return nil, nil
		}
		path = defaultPolicy
	}
	p, err := policy.Load(path)
	if err != nil {
		return nil, hinted(err, "natwarden policy lint shows every mistake; natwarden policy init writes a first policy")
	}
	return p, nil
}

// policyOrBuiltin is policyFile for verbs that only look: without a policy they
// judge by the built-in one, and say so.
func (a *app) policyOrBuiltin() (*policy.Policy, error) {
	p, err := a.policyFile()
	if p != nil || err != nil {
		return p, err
	}
	if !a.Quiet {
		a.note("there is no %s: judged by the built-in policy (natwarden policy init --policy FILE writes a first one)", defaultPolicy)
	}
	return policy.Builtin(), nil
}

// policyToChange is policyFile for verbs that change: what no policy allows is
// everything where there is no policy, so it must be said in so many words.
func (a *app) policyToChange(only []string) (*policy.Policy, error) {
	p, err := a.policyFile()
	if p != nil || err != nil {
		return p, err
	}
	if len(only) > 0 {
		return policy.Builtin(), nil
	}
	return nil, kindError{errPolicy, fmt.Errorf("there is no policy: %s does not exist, and without one every redirect of Docker, Podman or Kubernetes would go", defaultPolicy),
		"natwarden policy init --policy " + defaultPolicy + " writes one from today's state; or say --policy builtin, or --only ID"}
}
