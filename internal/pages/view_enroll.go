package pages

import (
	"cmp"
	"time"
)

// EnrollStart explains enrollment and asks for what is needed to begin: which
// kind of authenticator ("kind", a Method constant), its name ("label"), and the
// invite where one is needed ("invite").
type EnrollStart struct {
	Page
	For         string   // the action that sent the person here; may be empty
	Kinds       []string // Method constants that may be enrolled, the best first; empty: MethodTOTP alone
	Missing     []string // those that may not, since the person's sign-in gives no address
	Kind        string   // the chosen one, where the page is shown again; empty: the first that works
	NeedsInvite bool
	First       bool // no authenticator yet: recovery codes will follow
	Label       string
	Challenge   string // id of the challenge to go back to; a hidden field
	Error       FieldError
	FormURL     string
	CancelURL   string // a link; empty hides it
}

// Only is the kind where there is nothing to choose.
func (e EnrollStart) Only() string {
	switch len(e.Kinds) {
	case 0:
		return MethodTOTP
	case 1:
		return e.Kinds[0]
	}
	return ""
}

// Chosen is the kind that is marked before the person, or a script that finds
// passkeys, chooses: one that works everywhere.
func (e EnrollStart) Chosen() string {
	if e.Kind != "" {
		return e.Kind
	}
	for _, k := range e.Kinds {
		if k != MethodPasskey {
			return k
		}
	}
	return e.Only()
}

// Enroll shows a pending authenticator's secret and asks for the first code.
type Enroll struct {
	Page
	QR           QR
	Secret       string // base32 without padding
	OTPAuthURI   string
	Label        string
	Digits       int
	Expires      time.Time
	AttemptsLeft int // below zero: not shown
	RetryAfter   time.Duration
	ClockOff     time.Duration // with WrongClock: how far the device's clock is off, either way
	Challenge    string        // id of the challenge to go back to; a hidden field
	Error        FieldError
	FormURL      string // POSTed to with "code"
	CancelURL    string // a link; empty hides it
}

// EnrollPhone asks for a phone's number ("number"), and once a code was sent
// there for the code ("code").
type EnrollPhone struct {
	Page
	Kind         string // a Method constant, of what is sent; empty: MethodSMS
	Number       string // what was typed, to be mended
	SentTo       string // the number's last digits; empty: the number is asked for
	ResendAfter  time.Duration
	SendURL      string // POSTed to: with "number" at first, with nothing for another message
	FormURL      string // POSTed to with "code"
	ChangeURL    string // where another number can be given, a link; empty hides it
	Digits       int    // of the code; 0: 6
	Label        string // a hidden field, where it is to be handed on
	Invite       string // a hidden field, where it is to be handed on
	Expires      time.Time
	AttemptsLeft int // below zero: not shown
	RetryAfter   time.Duration
	Challenge    string // id of the challenge to go back to; a hidden field
	Error        FieldError
	CancelURL    string // a link; empty hides it
}

// KindName is the Kind, MethodSMS for an empty one.
func (e EnrollPhone) KindName() string { return cmp.Or(e.Kind, MethodSMS) }

// CodeDigits is how many digits make a code complete.
func (e EnrollPhone) CodeDigits() int { return codeDigits(e.Digits) }

// EnrollPasskey has the browser make a passkey. It takes a script.
type EnrollPasskey struct {
	Page
	// CreationOptions is what navigator.credentials.create takes, as JSON
	// (WebAuthn Level 3, PublicKeyCredentialCreationOptionsJSON); the answer
	// comes in "code", as JSON of the credential.
	CreationOptions string
	Label           string
	Expires         time.Time
	Challenge       string // id of the challenge to go back to; a hidden field
	Error           FieldError
	FormURL         string // POSTed to with "code"
	OtherURL        string // where another kind can be chosen, a link; empty hides it
	CancelURL       string // a link; empty hides it
}

// RecoveryCodes shows new recovery codes, once.
type RecoveryCodes struct {
	Page
	Codes       []string // empty: an authenticator was added, the codes of before hold
	Enrolled    bool     // they came with a new authenticator, which the page then confirms too
	Kind        string   // of that authenticator, a Method constant; empty: MethodTOTP
	ContinueURL string
	ContinueFor string // the action that waits; empty: the link leads to the security page
	Opens       string // as in Passed
	Lead               // of the link
}

// AddedKey names the sentence that confirms the new authenticator.
func (r RecoveryCodes) AddedKey() string {
	if r.Kind == "" {
		return "codes.added." + MethodTOTP
	}
	return "codes.added." + r.Kind
}

func (EnrollStart) template() string   { return "enroll_start" }
func (Enroll) template() string        { return "enroll" }
func (EnrollPhone) template() string   { return "enroll_phone" }
func (EnrollPasskey) template() string { return "enroll_passkey" }
func (RecoveryCodes) template() string { return "recovery_codes" }

func (e EnrollStart) titleKey() string {
	if only := e.Only(); only != "" {
		return "enroll.title." + only
	}
	return "enroll.title"
}
func (Enroll) titleKey() string        { return "enroll.title." + MethodTOTP }
func (e EnrollPhone) titleKey() string { return "enroll.title." + e.KindName() }
func (EnrollPasskey) titleKey() string { return "enroll.title." + MethodPasskey }
func (r RecoveryCodes) titleKey() string {
	if len(r.Codes) == 0 {
		return "codes.title_added"
	}
	return "codes.title"
}

func (e EnrollStart) hasError() bool   { return e.Error != NoError }
func (e Enroll) hasError() bool        { return e.Error != NoError || e.RetryAfter > 0 }
func (e EnrollPhone) hasError() bool   { return e.Error != NoError || e.RetryAfter > 0 }
func (e EnrollPasskey) hasError() bool { return e.Error != NoError }

func (EnrollStart) scripted() bool   { return true }
func (Enroll) scripted() bool        { return true }
func (EnrollPhone) scripted() bool   { return true }
func (EnrollPasskey) scripted() bool { return true }
func (RecoveryCodes) scripted() bool { return true }

// once marks a page that cannot be had again in another language.
func (RecoveryCodes) once() {}
