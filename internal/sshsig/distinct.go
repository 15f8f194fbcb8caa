package sshsig

import "slices"

// person is all that signatures of one signer go by.
type person struct{ keys, principals []string }

// Distinct counts the people behind signatures: two that share a key or a
// principal are one. So neither a second key nor a second name makes a second approval.
func Distinct(signers []Signer) int {
	var people []person // no two of them share anything
	for _, s := range signers {
		one := person{[]string{s.Key}, slices.Clone(s.Principals)}
		people = slices.DeleteFunc(people, func(p person) bool {
			if !p.shares(s) {
				return false
			}
			one.keys, one.principals = append(one.keys, p.keys...), append(one.principals, p.principals...)
			return true
		})
		people = append(people, one)
	}
	return len(people)
}

func (p person) shares(s Signer) bool {
	return slices.Contains(p.keys, s.Key) || slices.ContainsFunc(s.Principals, func(name string) bool { return slices.Contains(p.principals, name) })
}
