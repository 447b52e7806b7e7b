package bank

import (
	"errors"
	"strconv"
	"strings"
)

// cents is an amount of money in hundredths of a euro. Debits are negative.
type cents int64

// maxAmount is the largest single transfer: a million euros.
const maxAmount cents = 1_000_000_00

// errAmount: what was typed is not an amount that can be transferred.
var errAmount = errors.New("the amount must be between 0.01 and 1,000,000.00, as in 12.50")

// parseAmount reads an amount as people type it: digits, then at most two
// decimals behind a point. Signs, exponents, separators and zero are refused.
func parseAmount(s string) (cents, error) {
	whole, decimals, point := strings.Cut(strings.TrimSpace(s), ".")
	if len(whole) < 1 || len(whole) > 7 || len(decimals) > 2 || point && decimals == "" {
		return 0, errAmount
	}
	var c cents
	for _, digit := range whole + (decimals + "00")[:2] {
		if digit < '0' || digit > '9' {
			return 0, errAmount
		}
		c = c*10 + cents(digit-'0')
	}
	if c < 1 || c > maxAmount {
		return 0, errAmount
	}
	return c, nil
}

// String is the amount for machines: -1234.50.
func (c cents) String() string {
	sign, n := "", int64(c)
	if n < 0 {
		sign, n = "-", -n
	}
	d := strconv.FormatInt(n%100+100, 10)[1:]
	return sign + strconv.FormatInt(n/100, 10) + "." + d
}

// Display is the amount for people: −€1,234.50.
func (c cents) Display() string {
	s, negative := strings.CutPrefix(c.String(), "-")
	for i := len(s) - len(".00") - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	if negative {
		return "−€" + s
	}
	return "€" + s
}

// Negative reports whether the amount is a debit.
func (c cents) Negative() bool { return c < 0 }
