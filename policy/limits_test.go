package policy

import (
	"strings"
	"testing"
)

func TestLimits(t *testing.T) {
	for text, want := range map[string]int{"limits: {remove_at_most: 20}": 20, "limits: {remove_at_most: 0}": 0, "limits: {}": -1, "": -1} {
		p, err := Parse([]byte("version: 1\n"+text+"\n"), "p")
		if err != nil {
			t.Errorf("%s: %v", text, err)
			continue
		}
		got := -1
		if p.Limits.RemoveAtMost != nil {
			got = *p.Limits.RemoveAtMost
		}
		if got != want {
			t.Errorf("%s: %d, want %d", text, got, want)
		}
	}
}

func TestBadLimits(t *testing.T) {
	for text, want := range map[string]string{
		"limits: {remove_at_most: -1}":                   "whole number",
		"limits: {remove_at_most: 1.5}":                  "whole number",
		"limits: {remove_at_most: '3'}":                  "whole number",
		"limits: {remove_at_most: [3]}":                  "whole number",
		"limits: {remove_at_most: 99999999999999999999}": "whole number",
		"limits: {remove_at_most: 2000000}":              "whole number",
		"limits: {remove_at_most: }":                     "whole number",
		"limits: {remove_most: 3}":                       "unknown key",
		"limits: 3":                                      "must be a mapping",
		"limits: {remove_at_most: 3, remove_at_most: 4}": "duplicate key",
	} {
		_, err := Parse([]byte("version: 1\n"+text+"\n"), "p")
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", text, err, want)
		}
	}
}
