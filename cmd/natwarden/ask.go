package main

import (
	"bufio"
	"fmt"
	"strings"

	"github.com/natwarden/natwarden/remediate"
)

// confirmed asks a person whether to go on. Without a terminal nobody is
// asked: the caller has demanded --yes before.
func (a *app) confirmed(question string) (bool, error) {
	if err := a.flush(); err != nil {
		return false, err
	}
	fmt.Fprintf(a.notes, "%s [y/N] ", question)
	line, err := bufio.NewReader(a.in).ReadString('\n')
	if err != nil {
		return false, fmt.Errorf("reading the answer: %w", err)
	}
	answer := strings.ToLower(strings.TrimSpace(line))
	return answer == "y" || answer == "yes", nil
}

// mustSayYes refuses to go on where nobody can be asked.
func (a *app) mustSayYes(yes bool, command string) error {
	if yes || a.asks() {
		return nil
	}
	return kindError{errUsage, errNotAsked, "add --yes: " + command + " --yes"}
}

// showPlan shows what is to be agreed to beside the question, where it does
// not mix with data.
func (a *app) showPlan(plan *remediate.Result, words telling) {
	w := bufio.NewWriter(a.notes)
	p := a.page()
	p.w = w
	p.writeResult(plan, words)
	_ = w.Flush() // the question that follows fails where this did
}
