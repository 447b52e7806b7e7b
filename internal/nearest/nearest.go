// Package nearest finds the word that somebody meant who misspelled it.
package nearest

import (
	"fmt"
	"strings"
)

// maxWord bounds what is compared; longer words are no misspellings.
const maxWord = 64

// Of returns the known word that differs least from word, by letters left out, put
// in, replaced or swapped with their neighbor, without regard to case. It is empty
// where none is near: a third of the letters may differ, and one in short words.
func Of(word string, known []string) string {
	best, least := "", max(1, len(word)/3)+1
	if word == "" || len(word) > maxWord {
		return ""
	}
	for _, k := range known {
		if len(k) > maxWord {
			continue
		}
		if d := distance(strings.ToLower(word), strings.ToLower(k)); d < least && d < len(k) {
			best, least = k, d
		}
	}
	return best
}

// OneOf ends the sentence about a word that is not among the known ones: with the
// one that was meant, if that is clear, and with all.
func OneOf(word string, known []string) string {
	if len(known) == 1 {
		return fmt.Sprintf("there is only %q", known[0])
	}
	all := strings.Join(known, ", ")
	if k := Of(word, known); k != "" {
		return fmt.Sprintf("did you mean %q? There are %s", k, all)
	}
	return "write one of " + all
}

// distance is the optimal string alignment distance of two words.
func distance(a, b string) int {
	var rows [3][maxWord + 1]int
	before, last, now := &rows[0], &rows[1], &rows[2]
	for j := range len(b) + 1 {
		last[j] = j
	}
	for i := 1; i <= len(a); i++ {
		now[0] = i
		for j := 1; j <= len(b); j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			now[j] = min(last[j]+1, now[j-1]+1, last[j-1]+cost)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				now[j] = min(now[j], before[j-2]+1)
			}
		}
		before, last, now = last, now, before
	}
	return last[len(b)]
}
