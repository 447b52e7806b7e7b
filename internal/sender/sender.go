// Package sender hands short texts over for delivery: to telephones by a webhook, a
// mail server, or a file for trying out; and to mail addresses by a mail server.
//
//	w, err := sender.NewWebhook(sender.WebhookOptions{URL: "https://sms.example.com/", Secret: secret})
//	err = w.Send(ctx, "+4915112345678", "123456 is your code")
//
// It promises that nil means that the other side took the text over; that an error
// means that it surely or possibly did not; that no call takes longer than was
// said, or goes on after its context has ended; that what is over a limit is not
// sent; and that no error has the number, the text, a secret, or anything that the
// other side said but for its status in it: codes and numbers belong in no log.
// Every sender is safe for concurrent use.
//
// It does not tell whether a text arrived, does not keep texts for later, and does
// not count: how often somebody may be sent one is decided before it is asked. It
// logs nothing.
package sender

import (
	"errors"
	"net/netip"
	"strings"
	"unicode/utf8"
)

// MaxText bounds a text, in bytes: ten messages of a telephone network.
const MaxText = 1600

// The lengths of a number in digits, country code included (E.164 section 6).
const (
	minDigits = 7 // shorter ones are special services of one country
	maxDigits = 15
)

var (
	// ErrAddress reports a recipient that is not one plain mail address.
	ErrAddress = errors.New("the recipient is not one plain mail address")
	// ErrNumber tells that the number is not in the form of E.164.
	ErrNumber = errors.New("the number is not written as + and 7 to 15 digits")
	// ErrText tells that the text is empty, too long, or no text.
	ErrText = errors.New("the text is empty, longer than 1600 bytes, or no UTF-8")
)

// check checks a message to a number against the limits. What it lets through cannot
// break out of a mail address or a header.
func check(to, text string) error {
	if err := checkNumber(to); err != nil {
		return err
	}
	return checkText(text)
}

// checkNumber checks the form of a number.
func checkNumber(to string) error {
	digits, plus := strings.CutPrefix(to, "+")
	if !plus || len(digits) < minDigits || len(digits) > maxDigits || digits[0] == '0' || strings.Trim(digits, "0123456789") != "" {
		return ErrNumber
	}
	return nil
}

// checkText checks a text against the limits.
func checkText(text string) error {
	if text == "" || len(text) > MaxText || !utf8.ValidString(text) || strings.ContainsFunc(text, isControl) {
		return ErrText
	}
	return nil
}

func isControl(r rune) bool { return r < ' ' && r != '\n' || r == 0x7f }

// isLoopback tells of names and addresses that do not leave this machine.
func isLoopback(host string) bool {
	if a, err := netip.ParseAddr(host); err == nil {
		return a.IsLoopback()
	}
	return strings.EqualFold(host, "localhost")
}
