package records

import (
	"encoding/binary"
	"math/bits"

	"github.com/stepup-gateway/caddy-stepup/grants"
)

// grantTable maps the ids of grants to what is checked of them, in one array, by
// open addressing with linear probing. With a million grants a look-up is one
// wait for memory; in Go's map it is four, one after the other.
//
// Ids are SHA-256 sums of tokens that the gateway drew, so they are their own
// hash: nobody else can choose where they fall. The zero value is empty.
type grantTable struct {
	rows []grantRow
	n    int
}

// grantRow is two cache lines, of which the first reports whether it is the row
// that is looked for. It has no pointers: the collector passes the array by.
type grantRow struct {
	id                grants.ID
	authTime, expires int64
	methods           grants.Methods
	use               grants.Use
	state             rowState
	origin            grants.Methods
	_                 [10]byte

	holder          grants.Holder
	action, session [16]byte
}

type rowState uint8

const (
	taken rowState = 1 << iota
	spentRow
	apiRow
)

// home is where the probing for an id begins. It takes none of the bits by which
// the shard was chosen.
func (t *grantTable) home(id *grants.ID) int {
	at, _ := bits.Mul64(binary.LittleEndian.Uint64(id[8:]), uint64(len(t.rows)))
	return int(at)
}

func (t *grantTable) after(i int) int {
	if i++; i < len(t.rows) {
		return i
	}
	return 0
}

// find returns the row of an id, or the free one where it would be put. The table
// is never full, so the search ends. It must have rows.
func (t *grantTable) find(id *grants.ID) (i int, ok bool) {
	for i = t.home(id); ; i = t.after(i) {
		switch row := &t.rows[i]; {
		case row.state == 0:
			return i, false
		case row.id == *id:
			return i, true
		}
	}
}

// get fills in l.
func (t *grantTable) get(id *grants.ID, l *Live) bool {
	if t.n == 0 {
		return false
	}
	i, ok := t.find(id)
	if !ok {
		return false
	}
	row := &t.rows[i]
	g := &l.Grant
	g.Holder, g.Action, g.Session = row.holder, row.action, row.session
	g.AuthTime, g.Expires, g.Methods, g.Origin, g.Use = row.authTime, row.expires, row.methods, row.origin, row.use
	g.API, l.Spent = row.state&apiRow != 0, row.state&spentRow != 0
	return true
}

// put takes a grant that is bound to no request.
func (t *grantTable) put(id *grants.ID, l *Live) {
	if t.n >= len(t.rows)/4*3 {
		t.grow()
	}
	g := &l.Grant
	row := grantRow{
		id: *id, holder: g.Holder, action: g.Action, session: g.Session,
		authTime: g.AuthTime, expires: g.Expires, methods: g.Methods, origin: g.Origin, use: g.Use, state: taken,
	}
	if l.Spent {
		row.state |= spentRow
	}
	if g.API {
		row.state |= apiRow
	}
	i, ok := t.find(id)
	t.rows[i] = row
	if !ok {
		t.n++
	}
}

// grow makes room for half as many again: a table is between half and three
// quarters full.
func (t *grantTable) grow() {
	old := t.rows
	t.rows = make([]grantRow, max(16, len(old)+len(old)/2))
	for i := range old {
		if old[i].state != 0 {
			at, _ := t.find(&old[i].id)
			t.rows[at] = old[i]
		}
	}
}

func (t *grantTable) drop(id *grants.ID) {
	if t.n == 0 {
		return
	}
	if i, ok := t.find(id); ok {
		t.clear(i)
	}
}

// dropHolder drops all rows of a holder.
func (t *grantTable) dropHolder(h *grants.Holder) {
	for i := 0; i < len(t.rows); {
		if t.rows[i].state != 0 && t.rows[i].holder == *h {
			t.clear(i) // and look at what moved here
			continue
		}
		i++
	}
}

// clear frees a row, and moves into it what stands after it and was to stand
// before: a search ends at the first free row.
func (t *grantTable) clear(i int) {
	t.n--
	for j := t.after(i); t.rows[j].state != 0; j = t.after(j) {
		if t.steps(t.home(&t.rows[j].id), j) >= t.steps(i, j) {
			t.rows[i] = t.rows[j]
			i = j
		}
	}
	t.rows[i] = grantRow{}
}

// steps is how far probing goes from one row to another.
func (t *grantTable) steps(from, to int) int {
	if to < from {
		to += len(t.rows)
	}
	return to - from
}

// How many rows tidy looks at, and among how many places it looks for them.
const (
	tidied   = 2
	tidiedIn = 32
)

// tidy looks at a few rows somewhere and drops those that have run out, so that
// dead grants do not pile up; live ones too where there are limit of them. Called
// before each put, it drops faster than grants come. Where it looks is up to by,
// which is as good as random.
func (t *grantTable) tidy(by *grants.ID, now int64, limit int) {
	if t.n == 0 {
		return
	}
	at, _ := bits.Mul64(binary.LittleEndian.Uint64(by[16:]), uint64(len(t.rows)))
	i, seen := int(at), 0
	for range tidiedIn {
		switch row := &t.rows[i]; {
		case row.state == 0:
			i = t.after(i)
			continue
		case row.expires <= now || t.n >= limit:
			t.clear(i) // and look at what moved here
		default:
			i = t.after(i)
		}
		if seen++; seen == tidied {
			return
		}
	}
}
