package readings

// Limits on what one request may cost (rule S26). What needs more cannot be told,
// and counts as a match. They are counted and not timed, so that a request is
// judged in the same way on every machine. Honest requests stay far below: PHP
// takes 1,000 fields and the widest forms of administrators send some thousands.
const (
	// maxFields is how many fields a query or form may have.
	maxFields = 10_000
	// maxQuery is how many bytes a query may have.
	maxQuery = 256 << 10
	// maxOccurrences is how many occurrences of the fields that are looked for a
	// request may have, those that are the same counted once.
	maxOccurrences = 1024
	// maxCompared is how often values of a request are compared with values of
	// rules.
	maxCompared = 16 << 10
	// leastEffort is what reading may take beyond going over each byte some
	// times, whatever the size of the request, and effortForByte what each byte
	// adds. The unit is about a nanosecond.
	leastEffort   = 400_000
	effortForByte = 2
)

// What parts of the work count.
const (
	costDecoded = 2  // a byte that is decoded
	costFolded  = 40 // a byte beyond ASCII that is folded
	costName    = 80 // a name that has several spellings
	costKept    = 80 // an occurrence
	costAlike   = 50 // one more that is the same
	costMember  = 20 // a member of JSON that may be one
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
