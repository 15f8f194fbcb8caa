package tc

import "testing"

// This kernel has none of these actions: their attributes are as tc_skbedit.h says.
func TestActionsThatMark(t *testing.T) {
	tests := map[string]struct {
		action action
		want   bool
	}{
		"skbedit with a mark":     {action{"skbedit", attrs{skbeditMark: {1, 0, 0, 0}}}, true},
		"skbedit with a priority": {action{"skbedit", attrs{3: {1, 0, 0, 0}}}, false},
		"connmark":                {action{"connmark", nil}, true},
		"ctinfo":                  {action{"ctinfo", nil}, true},
		"gact":                    {action{"gact", nil}, false},
	}
	for name, tt := range tests {
		if got := sets(tt.action); got != tt.want {
			t.Errorf("%s: %v", name, got)
		}
	}
}
