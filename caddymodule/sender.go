package caddymodule

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"
	"unicode"

	"github.com/caddyserver/caddy/v2"
	"go.uber.org/zap"

	"github.com/stepup-gateway/caddy-stepup/caddymodule/internal/block"
	"github.com/stepup-gateway/caddy-stepup/caddymodule/internal/place"
	"github.com/stepup-gateway/caddy-stepup/caddymodule/senders"
	"github.com/stepup-gateway/caddy-stepup/config"
)

// Sender hands texts over for delivery. It is the interface of guest modules in the
// namespace step_up.senders.
//
// Send is given a number in the form of E.164, such as +4915112345678 (or a mail
// address, see [AddressSender]), and the text as it is to be read, which has a code
// in it. Nil means that whoever delivers it
// took it over; an error means that it surely or possibly was not taken. Send must
// return soon after ctx has ended. It is called concurrently. It may try again by
// itself, but not after it returned, and never sends a text to anybody else.
//
// Neither the recipient nor the text may be logged, or stand in the error: a code in a
// log is a code that others can use. Errors of the net/http client quote the URL,
// and mail servers quote the recipient.
type Sender interface {
	Send(ctx context.Context, to, text string) error
}

// AddressSender is a Sender that can send to mail addresses: what sends codes by mail
// must be one. Where ToAddresses is true, Send is given an address of plain ASCII
// such as alice@example.com, and never a number; otherwise a number, and never an
// address. It is constant once the module is provisioned.
type AddressSender interface {
	Sender
	ToAddresses() bool
}

// recipients are what a sender is to send to.
type recipients bool

// The recipients.
const (
	toNumbers   recipients = false
	toAddresses recipients = true
)

// maxSending bounds a call of a guest that does not heed its context's own end.
const maxSending = 30 * time.Second

var (
	// errSenderPanicked tells that a sender panicked; with what is not told,
	// since that may be the text.
	errSenderPanicked = errors.New("sending text: the sender panicked")
	// errSenderQuotes stands in place of an error that quoted the message.
	errSenderQuotes = errors.New("sending text: the sender failed, with an error that is withheld since it quotes the message")
	// errNoSender tells that there are settings, and nothing to send with.
	errNoSender = errors.New("sms needs a sender: write `sender webhook https://sms.example.com/send`, `sender smtp mail.example.com:587`, or for trying out `sender file PATH`")
	// errNoSMS tells of a sender for which no countries are set.
	errNoSMS = errors.New("sms_sender is set without sms: add an sms block that lists the countries to which texts may go")
	// errToAddresses and errToNumbers tell of a sender that sends elsewhere.
	errToAddresses = errors.New("the sender of sms sends to mail addresses: under sms, write `to {number}@sms.example.com`")
	errToNumbers   = errors.New("the sender of email sends to phone numbers: write `sender smtp mail.example.com:587` with `to {email}`")
)

// checkSender checks that there is a sender where its setting is set, and none where
// it is not: the errors tell that there is none, or that it is alone.
func checkSender(said bool, raw json.RawMessage, none, alone error) error {
	switch {
	case said && len(raw) == 0:
		return none
	case !said && len(raw) > 0:
		return alone
	}
	return nil
}

// loadSender makes the sender, or nil where no texts are sent.
func (a *App) loadSender(ctx caddy.Context) (Sender, error) {
	if err := checkSender(a.SMS != nil, a.SenderRaw, errNoSender, errNoSMS); err != nil || a.SMS == nil {
		return nil, err
	}
	return a.loadGuest(ctx, "SenderRaw", a.SenderRaw, "sms", toNumbers)
}

// loadGuest makes the sender of the field, which has to send to the recipients of the
// setting that it belongs to.
func (a *App) loadGuest(ctx caddy.Context, field string, raw json.RawMessage, setting string, to recipients) (Sender, error) {
	module, err := block.Load(ctx, a, field, raw, "step_up.senders", "sender", setting+"_sender")
	if err != nil {
		return nil, err
	}
	s, ok := module.(Sender)
	if !ok {
		return nil, &config.PathError{Path: setting + "_sender", Err: fmt.Errorf("%T is no sender", module)}
	}
	if err := checkRecipients(s, to); err != nil {
		return nil, &config.PathError{Path: setting + "_sender", Err: err}
	}
	if file, ok := module.(*senders.File); ok {
		a.logger.Warn("codes are written to a file and sent to nobody: whoever reads it can pass every step-up by SMS; take another sender before others use this",
			zap.String("at", place.Place{Path: "apps.step_up", Source: a.Source}.At(setting+"_sender")), zap.String("path", file.Path))
	}
	return guarded{s}, nil
}

// checkRecipients refuses a sender that sends to others than the setting is for.
func checkRecipients(s Sender, to recipients) error {
	a, can := s.(AddressSender)
	switch mails := recipients(can && a.ToAddresses()); {
	case mails == to:
		return nil
	case mails == toAddresses:
		return errToAddresses
	}
	return errToNumbers
}

// guarded is a guest's sender held to the contract: others wrote it.
type guarded struct{ guest Sender }

// Send passes a text on.
func (g guarded) Send(ctx context.Context, to, text string) (err error) {
	ctx, cancel := context.WithTimeout(ctx, maxSending)
	defer cancel()
	defer func() {
		if recover() != nil {
			err = errSenderPanicked
		}
	}()
	if err := g.guest.Send(ctx, to, text); err != nil {
		if quotes(err.Error(), to, text) {
			return errSenderQuotes
		}
		return err
	}
	return nil
}

// quotes reports whether an error repeats the recipient, or a word of the text that has
// a digit in it, as codes have. It is a net below the contract, not the contract:
// what is encoded slips through.
func quotes(message, to, text string) bool {
	digits := strings.TrimPrefix(to, "+")
	words := strings.FieldsFunc(text, func(r rune) bool { return !unicode.IsLetter(r) && !unicode.IsDigit(r) })
	if strings.Contains(message, to) {
		return true
	}
	for _, word := range append(words, digits[max(0, len(digits)-7):]) {
		if len(word) >= 4 && strings.ContainsFunc(word, unicode.IsDigit) && strings.Contains(message, word) {
			return true
		}
	}
	return false
}

// Interface guards
var (
	_ Sender        = (*senders.Webhook)(nil)
	_ AddressSender = (*senders.SMTP)(nil)
	_ Sender        = (*senders.File)(nil)
)
