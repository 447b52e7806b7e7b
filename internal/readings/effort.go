package readings

import "strings"

// Limits on what one request may cost (rule S26). What needs more cannot be told,
// and counts as a match. They are counted and not timed, so that a request is
// judged in the same way on every machine. Honest requests stay far below: PHP
// takes 1,000 fields and the widest forms of administrators send some thousands.
const (
	// maxFields is how many fields query and form may have, in all readings.
	maxFields = 10_000
	// maxQuery is how many bytes a query may have.
	maxQuery = 256 << 10
	// maxOccurrences is how many occurrences of the fields that are looked for a
	// request may have, those that are the same counted once.
	maxOccurrences = 1024
	// maxShownOccurrences is how many occurrences of one field are kept to be shown,
	// other readings of the same included, and maxListedOccurrences of all.
	maxShownOccurrences  = 256
	maxListedOccurrences = 4096
	// maxCompared is how often values of a request are compared with values of
	// rules.
	maxCompared = 16 << 10
	// leastEffort is what reading may take beyond going over each byte some
	// times, whatever the size of the request, and effortForByte what each byte
	// adds. The unit is about a nanosecond.
	leastEffort   = 100_000
	effortForByte = 1
	// sideEffort is leastEffort for a name that is looked for as far as it can be
	// told, besides those of the rules.
	sideEffort = leastEffort / 8
)

// What parts of the work count.
const (
	costFolded   = 40  // a byte beyond ASCII that is folded
	costName     = 200 // a name that may be meant in another spelling
	costKept     = 150 // an occurrence
	costAlike    = 70  // one more that is the same
	costValue    = 15  // a value of JSON that stands on the way to a field, or its name
	costWord     = 4   // a number, true, false or null that does not; bytes as numbers are 3.6 letters each
	costSkipped  = 3   // an object or array of JSON that does not
	costListed   = 8   // a name anywhere in JSON
	costMember   = 60  // a member of JSON that is on the way to a field
	costEscaped  = 100 // a text of JSON with escapes
	costUnescape = 300 // the same, by encoding/json
)

// effort is what reading a request has taken so far.
type effort struct {
	left     int
	compared int
}

func newEffort() effort { return effort{left: leastEffort} }

// allow adds what a text of n bytes may take.
func (e *effort) allow(n int) { e.left += effortForByte * n }

// spend reports whether there is enough left.
func (e *effort) spend(n int) bool {
	e.left -= n
	return e.left >= 0
}

// spendDecoding is spend for a text that is decoded once.
func (e *effort) spendDecoding(s string) bool {
	return e.spend(len(s)/4 + 5*(strings.Count(s, "%")+strings.Count(s, "+")))
}

// exhausted reports that more was spent than there was.
func (e *effort) exhausted() bool { return e.left < 0 }
