package pages

import "time"

// Frame stands where the application shows a protected page inside a frame:
// nothing is asked there, one link leads out of it.
type Frame struct {
	Page
	Action string
	URL    string // opened in the whole window
}

// Message says why there is nothing here and what to do next.
type Message struct {
	Page
	Kind       MessageKind
	RetryAfter time.Duration // with TooManyAttempts, Busy and TooManyForms
	Label      string        // with NotYet: what it is about
	Until      time.Time     // with NotYet: when it is over; zero: not said
	Takes      []string      // with MustAdd: Method constants
	NextURL    string        // empty: only words
}

// MessageKind is the reason for a Message. Its values are prefixes of keys of
// the catalogue.
type MessageKind string

// Every reason for which a person is told something instead of served.
const (
	NotFound         MessageKind = "message.not_found"
	Expired          MessageKind = "message.expired"        // challenge or enrollment is over
	NoIdentity       MessageKind = "message.no_identity"    // nobody is signed in
	HTTPSRequired    MessageKind = "message.https_required" // plain HTTP without the option for it
	Ambiguous        MessageKind = "message.ambiguous"      // an address that can be read in more than one way
	CrossSite        MessageKind = "message.cross_site"     // a form sent from elsewhere
	StaleForm        MessageKind = "message.stale_form"     // token of another browser or of before
	NoCookies        MessageKind = "message.no_cookies"     // the browser sent none back
	NotADocument     MessageKind = "message.not_a_document" // page asked for by a script, image or frame
	MethodNotAllowed MessageKind = "message.method_not_allowed"
	TooLarge         MessageKind = "message.too_large"
	NotShown         MessageKind = "message.not_shown"      // a request that cannot be shown to who is to confirm it
	Several          MessageKind = "message.several"        // a form that needs several proofs
	NotHeld          MessageKind = "message.not_held"       // a form that is over the limit for being held
	Busy             MessageKind = "message.busy"           // no room to hold a form now
	TooManyForms     MessageKind = "message.too_many_forms" // the person had too many held recently
	BadRequest       MessageKind = "message.bad_request"
	TooManyAttempts  MessageKind = "message.too_many_attempts"
	Disabled         MessageKind = "message.disabled"      // attempts used up: an operator must help
	NoMethod         MessageKind = "message.no_method"     // nothing the person has does for the action
	MustAdd          MessageKind = "message.must_add"      // as NoMethod, but the person can add what does
	TooMany          MessageKind = "message.too_many"      // as many authenticators as one may have
	TooNew           MessageKind = "message.too_new"       // authenticator younger than a day (S14)
	NotYet           MessageKind = "message.young"         // all that would do is too new (S24)
	WeakOrigin       MessageKind = "message.weak_origin"   // never removes an older one (S24)
	Elsewhere        MessageKind = "message.elsewhere"     // codes would go where the identity source does not say
	EnrollDenied     MessageKind = "message.enroll_denied" // policy lets nobody enroll alone
	Unavailable      MessageKind = "message.unavailable"
	RolledBack       MessageKind = "message.rolled_back" // data of before, until an operator accepts it
)

func (Frame) template() string   { return "frame" }
func (Message) template() string { return "message" }

func (Frame) titleKey() string     { return "frame.title" }
func (m Message) titleKey() string { return string(m.Kind) + ".title" }

func (Frame) framed() {}

func (m Message) scripted() bool { return m.RetryAfter > 0 }
