package bank

import (
	"slices"
	"time"
)

// seed returns the ledger that every bank starts with: three customers, and a
// history that ends on the day before now.
func seed(now time.Time) *ledger {
	l := &ledger{customers: make(map[string]*customer)}
	for _, c := range []customer{
		{Login: "alice", Name: "Alice Liddell", Number: "1004 2210 07", password: "wonderland", opened: 1_920_00},
		{Login: "bob", Name: "Bob Mason", Number: "1004 3381 12", password: "builder", opened: 610_50},
		{Login: "carol", Name: "Carol Kingsleigh", Number: "1004 0007 90", password: "looking-glass", opened: 5_300_00, Admin: true},
	} {
		c.Balance = c.opened
		l.customers[c.Login] = &c
	}

	type past struct {
		days     int // before now
		from, to string
		amount   cents
		note     string
	}
	var history []past
	for _, days := range []int{88, 58, 28} {
		history = append(history,
			past{days, "Hatter & Hare Ltd", "alice", 2_380_00, "Salary"},
			past{days, "Mason Brothers", "bob", 1_745_00, "Wages"},
			past{days - 1, "alice", "Dodgson Lettings", 940_00, "Rent"},
			past{days - 2, "bob", "Dodgson Lettings", 715_00, "Rent"},
			past{days - 5, "alice", "City Power and Light", 64_20, "Electricity"},
		)
	}
	history = append(history,
		past{81, "alice", "bob", 120_00, "Garden wall, first part"},
		past{66, "carol", "alice", 35_50, "Theatre tickets"},
		past{49, "alice", "bob", 180_00, "Garden wall, second part"},
		past{40, "bob", "Bridge Street Tools", 212_75, "Mixer, invoice 5519"},
		past{21, "alice", "Looking Glass Books", 27_90, ""},
		past{12, "bob", "carol", 60_00, "Allotment share"},
		past{6, "alice", "The Tea Party", 18_40, "Lunch"},
		past{3, "bob", "alice", 42_00, "Half of the paint"},
		past{1, "alice", "carol", 15_00, "Raffle"},
	)
	slices.SortStableFunc(history, func(x, y past) int { return y.days - x.days })

	day := now.UTC().Truncate(24 * time.Hour)
	for i, p := range history {
		l.book(transfer{
			At:   day.AddDate(0, 0, -p.days).Add(9*time.Hour + time.Duration(i)*11*time.Minute),
			From: p.from, To: p.to, Amount: p.amount, Note: p.note,
		})
	}
	l.note(day.Add(-15*time.Hour), "carol", "signed in")
	l.note(day.Add(-14*time.Hour), "carol", "closed the books of the month")
	return l
}
