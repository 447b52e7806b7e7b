package pages

import "time"

// Method names of the ways to prove, as in the JSON API; each has words in the
// catalogue under "method.<name>".
const (
	MethodTOTP     = "totp"
	MethodRecovery = "recovery_code"
)

// Method is one way to prove that a challenge page offers.
type Method struct {
	Name     string // one of the Method constants
	URL      string // the challenge page with this method selected
	Selected bool
}

// FieldError says what was wrong with the one thing a person typed. Its values
// are keys of the catalogue.
type FieldError string

// What can be wrong with an answer.
const (
	NoError        FieldError = ""
	WrongCode      FieldError = "error.wrong_code"       // not accepted: wrong, used or too old
	WrongRecovery  FieldError = "error.wrong_recovery"   // recovery code not accepted
	MalformedCode  FieldError = "error.malformed_code"   // not of the form of a code: not counted
	WrongInvite    FieldError = "error.wrong_invite"     // invite unknown, used or expired
	MissingInvite  FieldError = "error.missing_invite"   // policy asks for one
	BadLabel       FieldError = "error.bad_label"        // name too long or with control characters
	TooManyPending FieldError = "error.too_many_pending" // enrolments begun and not finished
)

// Challenge asks for one proof.
type Challenge struct {
	Page
	Action       string        // what the action is called; with a Change, the authenticator's name
	Change       Change        // set where the proof is for a change to one's own authenticators
	Show         []Shown       // what the request says that the proof is for
	OneTime      bool          // the proof is good for one request
	Hold         time.Duration // how long the proof holds
	Held         bool          // what the person sent is kept and sent on
	Methods      []Method      // at least one, exactly one of them selected
	AttemptsLeft int           // below zero: not shown
	RetryAfter   time.Duration // above zero: answers are refused until then
	Error        FieldError
	FormURL      string
	CancelURL    string // POSTed to
}

// Shown is one field of the request that a proof is for. The page cannot tell
// what it means, so it shows it as it is.
type Shown struct {
	Name  string
	Value string
	Cut   bool // Value is only the beginning
}

// Change is a change to one's own authenticators for which a proof is asked.
// Its values are keys of the catalogue.
type Change string

// The changes.
const (
	ChangeAdd    Change = "change.add"
	ChangeRemove Change = "change.remove"
	ChangeRename Change = "change.rename"
	ChangeRenew  Change = "change.renew"
	ChangeAny    Change = "change.any" // in the list of grants, which do not tell
)

// Selected is the name of the selected method.
func (c Challenge) Selected() string {
	for _, m := range c.Methods {
		if m.Selected {
			return m.Name
		}
	}
	return MethodTOTP
}

// Others are the methods that are offered but not selected.
func (c Challenge) Others() []Method {
	var others []Method
	for _, m := range c.Methods {
		if !m.Selected {
			others = append(others, m)
		}
	}
	return others
}

// Passed says that a challenge is passed, and leads on by itself. It stands
// between our form and the application, because the form's policy would hold for
// wherever the application redirects to; see Render.
type Passed struct {
	Page
	Action string
	URL    string // a path on the site; empty: the person goes on in another window
}

// EnrolStart explains enrolment and asks for what is needed to begin.
type EnrolStart struct {
	Page
	For         string // the action that sent the person here; may be empty
	NeedsInvite bool
	First       bool // no authenticator yet: recovery codes will follow
	Label       string
	Challenge   string // id of the challenge to go back to; a hidden field
	Error       FieldError
	FormURL     string
	CancelURL   string // a link; empty hides it
}

// Enrol shows a pending authenticator's secret and asks for the first code.
type Enrol struct {
	Page
	QR           QR
	Secret       string // base32 without padding
	OTPAuthURI   string
	Label        string
	Digits       int
	Expires      time.Time
	AttemptsLeft int // below zero: not shown
	RetryAfter   time.Duration
	Challenge    string // id of the challenge to go back to; a hidden field
	Error        FieldError
	FormURL      string
	CancelURL    string // a link; empty hides it
}

// RecoveryCodes shows new recovery codes, once.
type RecoveryCodes struct {
	Page
	Codes       []string // empty: an authenticator was added, the codes of before hold
	Enrolled    bool     // they came with a new authenticator, which the page then confirms too
	ContinueURL string
	ContinueFor string // the action that waits; empty: the link leads to the security page
}

// Authenticator is one enrolled means of proof as the security page lists it.
type Authenticator struct {
	Label     string
	Kind      string // a Method constant
	Added     time.Time
	LastUsed  time.Time // zero: never
	RenameURL string
	RemoveURL string
}

// Grant is one live grant as the security page lists it.
type Grant struct {
	Action    string
	Change    Change // set where it is for changing one's own authenticators
	OneTime   bool
	Expires   time.Time
	RevokeURL string // POSTed to
}

// Security is the page on which people see and manage their own.
type Security struct {
	Page
	Done           Done
	Authenticators []Authenticator
	Grants         []Grant
	RecoveryLeft   int
	AddURL         string
	RenewURL       string // empty: no authenticator yet
	SiteURL        string // back to the application
}

// Done says what just happened, at the top of the security page. Its values
// are keys of the catalogue.
type Done string

// What may just have happened.
const (
	NothingDone Done = ""
	Removed     Done = "done.removed"
	Renamed     Done = "done.renamed"
	Added       Done = "done.added"
	Revoked     Done = "done.revoked"
	Cancelled   Done = "done.cancelled"
)

// Confirm asks whether to do what was just proved.
type Confirm struct {
	Page
	Kind      ConfirmKind
	Label     string // the authenticator it is about
	Last      bool   // it is the last one
	FormURL   string
	CancelURL string
}

// ConfirmKind is what a Confirm page asks. Its values are prefixes of keys of
// the catalogue.
type ConfirmKind string

// What is asked.
const (
	ConfirmRemove ConfirmKind = "confirm.remove"
	ConfirmRenew  ConfirmKind = "confirm.renew"
)

// Rename asks for an authenticator's new name.
type Rename struct {
	Page
	Label     string
	Error     FieldError
	FormURL   string
	CancelURL string
}

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
	RetryAfter time.Duration // with TooManyAttempts
	NextURL    string        // empty: only words
}

// MessageKind is the reason for a Message. Its values are prefixes of keys of
// the catalogue.
type MessageKind string

// Every reason for which a person is told something instead of served.
const (
	NotFound         MessageKind = "message.not_found"
	Expired          MessageKind = "message.expired"        // challenge or enrolment is over
	NoIdentity       MessageKind = "message.no_identity"    // nobody is signed in
	HTTPSRequired    MessageKind = "message.https_required" // plain HTTP without the option for it
	Ambiguous        MessageKind = "message.ambiguous"      // an address that can be read in more than one way
	CrossSite        MessageKind = "message.cross_site"     // a form sent from elsewhere
	StaleForm        MessageKind = "message.stale_form"     // token of another browser or of before
	NotADocument     MessageKind = "message.not_a_document" // page asked for by a script, image or frame
	MethodNotAllowed MessageKind = "message.method_not_allowed"
	TooLarge         MessageKind = "message.too_large"
	NotShown         MessageKind = "message.not_shown" // a request that cannot be shown to who is to confirm it
	NotHeld          MessageKind = "message.not_held"  // a form that is over the limit for being held
	BadRequest       MessageKind = "message.bad_request"
	TooManyAttempts  MessageKind = "message.too_many_attempts"
	Disabled         MessageKind = "message.disabled"     // attempts used up: an operator must help
	NoMethod         MessageKind = "message.no_method"    // nothing the person has does for the action
	TooMany          MessageKind = "message.too_many"     // as many authenticators as one may have
	TooNew           MessageKind = "message.too_new"      // authenticator younger than a day (S14)
	EnrolDenied      MessageKind = "message.enrol_denied" // policy lets nobody enrol alone
	Unavailable      MessageKind = "message.unavailable"
)

func (Challenge) template() string     { return "challenge" }
func (Passed) template() string        { return "passed" }
func (EnrolStart) template() string    { return "enrol_start" }
func (Enrol) template() string         { return "enrol" }
func (RecoveryCodes) template() string { return "recovery_codes" }
func (Security) template() string      { return "security" }
func (Confirm) template() string       { return "confirm" }
func (Rename) template() string        { return "rename" }
func (Frame) template() string         { return "frame" }
func (Message) template() string       { return "message" }

func (Challenge) titleKey() string  { return "challenge.title" }
func (Passed) titleKey() string     { return "passed.title" }
func (EnrolStart) titleKey() string { return "enrol.title" }
func (Enrol) titleKey() string      { return "enrol.title" }
func (Security) titleKey() string   { return "security.title" }
func (c Confirm) titleKey() string  { return string(c.Kind) + ".title" }
func (Rename) titleKey() string     { return "rename.title" }
func (Frame) titleKey() string      { return "frame.title" }
func (m Message) titleKey() string  { return string(m.Kind) + ".title" }
func (r RecoveryCodes) titleKey() string {
	if len(r.Codes) == 0 {
		return "codes.title_added"
	}
	return "codes.title"
}

func (c Challenge) hasError() bool  { return c.Error != NoError || c.RetryAfter > 0 }
func (e EnrolStart) hasError() bool { return e.Error != NoError }
func (e Enrol) hasError() bool      { return e.Error != NoError || e.RetryAfter > 0 }
func (r Rename) hasError() bool     { return r.Error != NoError }

func (Frame) framed() {}

var (
	_ View = Challenge{}
	_ View = Passed{}
	_ View = EnrolStart{}
	_ View = Enrol{}
	_ View = RecoveryCodes{}
	_ View = Security{}
	_ View = Confirm{}
	_ View = Rename{}
	_ View = Frame{}
	_ View = Message{}
)
