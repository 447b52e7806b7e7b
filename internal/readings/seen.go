package readings

import (
	"strconv"
	"strings"
)

// seen is one reading of a value that a request has, and what comparing it needs,
// found out once for all values that it is compared with.
type seen struct {
	text     string
	prepared bool
	cut      *seen  // up to a NUL, nil where there is none
	trimmed  string // without blanks
	bare     string // and without what may stand around it, see lead and trail
	ascii    bool   // bare is

	numbers   []float64 // that it is read as
	numbered  bool
	fold      string // see foldValue
	foldKnown bool
	bareFold  string
	bareKnown bool
	lead      string // fold without what a language may have in front
	leadKnown bool
}

func (v *seen) prepare() {
	if v.prepared {
		return
	}
	v.prepareThis()
	if before, _, found := strings.Cut(v.text, "\x00"); found {
		v.cut = &seen{text: before}
		v.cut.prepareThis()
	}
}

func (v *seen) prepareThis() {
	v.prepared = true
	v.trimmed = strings.Trim(v.text, blanks)
	v.bare = strings.TrimLeft(strings.TrimRight(v.trimmed, trail), lead)
	v.ascii = isASCII(v.bare)
}

// isNumber reports whether the value begins with the number, be it read to the end,
// as C's strtod does, or up to the first that is no digit.
func (v *seen) isNumber(n float64) bool {
	if !v.numbered {
		v.numbered = true
		whole, all := numberAt(v.trimmed)
		for _, end := range [...]int{whole, all} {
			if n, err := strconv.ParseFloat(v.trimmed[:end], 64); end > 0 && err == nil {
				v.numbers = append(v.numbers, n)
			}
		}
	}
	for _, have := range v.numbers {
		if have == n {
			return true
		}
	}
	return false
}

func (v *seen) foldedBare(e *effort) string {
	if !v.bareKnown {
		v.bareKnown = true
		v.bareFold = foldFor(v.bare, e)
	}
	return v.bareFold
}

func (v *seen) folded(e *effort) string {
	if !v.foldKnown {
		v.foldKnown = true
		v.fold = foldFor(v.text, e)
	}
	return v.fold
}

// led is folded without what a language may have before its first word.
func (v *seen) led() string {
	if !v.leadKnown {
		v.leadKnown = true
		v.lead = skipLead(v.fold)
	}
	return v.lead
}

// foldFor folds a text if there is effort enough.
func foldFor(s string, e *effort) string {
	cost := len(s)
	if !isASCII(s) {
		cost *= costFolded
	}
	if !e.spend(cost) {
		return ""
	}
	return foldValue(s)
}
