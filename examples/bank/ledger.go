package bank

import (
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"slices"
	"strings"
	"sync"
	"time"
	"unicode"
	"unicode/utf8"
)

const (
	maxNote      = 140     // characters of a transfer's note
	maxTransfers = 100_000 // after which the bank takes no more
	maxEvents    = 500     // of the audit list; the oldest go first

	firstTransfer = 100_001 // number of the first transfer
)

// Why a transfer or a freeze is refused. Their texts are shown to the customer.
var (
	// errFrozen: the account that was to pay is frozen.
	errFrozen = errors.New("your account is frozen; please call your branch")
	// errPayee: nobody by that name has an account here.
	errPayee = errors.New("choose a customer of this bank to pay")
	// errSelf: payer and payee, or administrator and frozen, are the same.
	errSelf = errors.New("you cannot do this to your own account")
	// errFunds: the balance does not cover the amount.
	errFunds = errors.New("your balance does not cover this amount")
	// errNote: the note is too long or is not plain text.
	errNote = errors.New("the note must be plain text of at most 140 characters")
	// errFull: the ledger has reached maxTransfers.
	errFull = errors.New("the bank is closed for today")
)

// customer is somebody with an account and a login.
type customer struct {
	Login, Name, Number string
	Admin, Frozen       bool
	Balance             cents

	password string
	opened   cents // balance before the first transfer of the ledger
}

// transfer is money that moved. From and To are logins, or plain names of
// parties outside the bank.
type transfer struct {
	ID       int
	At       time.Time
	From, To string
	Amount   cents // positive
	Note     string
}

// event is a line of the audit list.
type event struct {
	At        time.Time
	Who, What string
}

// ledger is all that the bank knows. What its methods return are copies.
type ledger struct {
	mu        sync.Mutex
	customers map[string]*customer
	transfers []transfer // in the order of their time
	events    []event    // likewise
}

// customer finds a customer by login.
func (l *ledger) customer(login string) (customer, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	c, ok := l.customers[login]
	if !ok {
		return customer{}, false
	}
	return *c, true
}

// everybody lists the customers by login.
func (l *ledger) everybody() []customer {
	l.mu.Lock()
	defer l.mu.Unlock()
	all := make([]customer, 0, len(l.customers))
	for _, c := range l.customers {
		all = append(all, *c)
	}
	slices.SortFunc(all, func(x, y customer) int { return strings.Compare(x.Login, y.Login) })
	return all
}

// authenticate checks a password and notes the outcome. A name that is unknown
// is not noted: people type passwords there.
func (l *ledger) authenticate(login, password string, now time.Time) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	c, known := l.customers[login]
	if !known {
		c = &customer{}
	}
	got, want := sha256.Sum256([]byte(password)), sha256.Sum256([]byte(c.password))
	if match := subtle.ConstantTimeCompare(got[:], want[:]) == 1; !known || !match {
		if known {
			l.note(now, login, "gave a wrong password")
		}
		return false
	}
	l.note(now, login, "signed in")
	return true
}

// pay moves money between two customers, wholly or, with one of the errors
// above, not at all.
func (l *ledger) pay(from, to string, amount cents, note string, now time.Time) (transfer, error) {
	note = strings.TrimSpace(note)
	if !utf8.ValidString(note) || utf8.RuneCountInString(note) > maxNote ||
		strings.ContainsFunc(note, func(r rune) bool { return !unicode.IsPrint(r) }) {
		return transfer{}, errNote
	}
	if amount < 1 || amount > maxAmount {
		return transfer{}, errAmount
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	payer, payee := l.customers[from], l.customers[to]
	switch {
	case payer == nil || payee == nil:
		return transfer{}, errPayee
	case payer == payee:
		return transfer{}, errSelf
	case payer.Frozen:
		l.note(now, from, "was refused a transfer: account frozen")
		return transfer{}, errFrozen
	case payer.Balance < amount:
		return transfer{}, errFunds
	case len(l.transfers) >= maxTransfers:
		return transfer{}, errFull
	}
	t := l.book(transfer{At: now, From: from, To: to, Amount: amount, Note: note})
	l.note(now, from, "transferred "+amount.Display()+" to "+to)
	return t, nil
}

// book numbers a transfer, appends it and moves the balances; the caller holds
// the lock and has checked everything.
func (l *ledger) book(t transfer) transfer {
	t.ID = firstTransfer + len(l.transfers)
	l.transfers = append(l.transfers, t)
	if c := l.customers[t.From]; c != nil {
		c.Balance -= t.Amount
	}
	if c := l.customers[t.To]; c != nil {
		c.Balance += t.Amount
	}
	return t
}

// setFrozen freezes or thaws a customer's account. A frozen account pays
// nobody, and may still be paid.
func (l *ledger) setFrozen(admin, login string, frozen bool, now time.Time) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	c := l.customers[login]
	switch {
	case c == nil:
		return errPayee
	case admin == login:
		return errSelf
	}
	c.Frozen = frozen
	if frozen {
		l.note(now, admin, "froze the account of "+login)
	} else {
		l.note(now, admin, "unfroze the account of "+login)
	}
	return nil
}

// record adds a line to the audit list.
func (l *ledger) record(now time.Time, who, what string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.note(now, who, what)
}

// note is record for callers that hold the lock.
func (l *ledger) note(now time.Time, who, what string) {
	if len(l.events) >= maxEvents {
		l.events = slices.Delete(l.events, 0, 1)
	}
	l.events = append(l.events, event{At: now, Who: who, What: what})
}

// latestEvents is the audit list, newest first.
func (l *ledger) latestEvents() []event {
	l.mu.Lock()
	defer l.mu.Unlock()
	events := slices.Clone(l.events)
	slices.Reverse(events)
	return events
}

// line is a transfer as one of its two parties sees it.
type line struct {
	Transfer transfer
	Party    string // the other one
	Amount   cents  // negative when paid
	Balance  cents  // afterwards
}

// lines are all transfers of a customer, oldest first.
func (l *ledger) lines(login string) []line {
	l.mu.Lock()
	defer l.mu.Unlock()
	c, ok := l.customers[login]
	if !ok {
		return nil
	}
	var lines []line
	balance := c.opened
	for _, t := range l.transfers {
		entry := line{Transfer: t}
		switch login {
		case t.From:
			entry.Party, entry.Amount = t.To, -t.Amount
		case t.To:
			entry.Party, entry.Amount = t.From, t.Amount
		default:
			continue
		}
		if other := l.customers[entry.Party]; other != nil {
			entry.Party = other.Name
		}
		balance += entry.Amount
		entry.Balance = balance
		lines = append(lines, entry)
	}
	return lines
}
