package policy

import "strings"

// nearest gives the known word that was probably meant, or "".
func nearest(word string, known []string) string {
	if len(word) > 40 {
		return ""
	}
	best, least := "", 3
	for _, k := range known {
		if d := distance(word, k); d < least && d < len(k) {
			best, least = k, d
		}
	}
	if best != "" {
		return best
	}
	for _, k := range known {
		if len(k) > 2 && len(word) > 2 && (strings.Contains(word, k) || strings.HasPrefix(k, word)) {
			return k
		}
	}
	return ""
}

// distance is the edit distance of Levenshtein.
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := 1; i <= len(a); i++ {
		left, diagonal := i, i-1
		for j := 1; j <= len(b); j++ {
			change := diagonal
			if a[i-1] != b[j-1] {
				change++
			}
			diagonal = row[j]
			left = min(left+1, row[j]+1, change)
			row[j] = left
		}
	}
	return row[len(b)]
}
