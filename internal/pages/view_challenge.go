package pages

import (
	"cmp"
	"time"
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
	Opens        string        // the action type that another window may have opened meanwhile; empty: none can
	Left         time.Duration // until the challenge runs out; 0: not shown
	Address      string        // where the proof leads to, to be read; empty: nowhere, or Show says it
	Foreign      bool          // another site sent the person here
	From         string        // with Foreign: which one; empty: it does not say
	Recent       []Recent      // authenticators that are new, for their owner to notice
	Young        []Young       // what the person has that is too new for this
	Elsewhere    []string      // what the person has that is not used, since their sign-in gives another address
	Methods      []Method      // at least one, exactly one of them selected
	Digits       int           // of a code of the selected method; 0: 6. With a script the page sends it when complete
	AttemptsLeft int           // below zero: not shown
	RetryAfter   time.Duration // above zero: answers are refused until then
	Error        FieldError
	ClockOff     time.Duration // with LateCode: how long ago the code was shown
	FormURL      string        // POSTed to with "method" and "code"
	CancelURL    string        // POSTed to
	CancelTo     string        // where the person came from; a hidden field of the form of CancelURL

	// PasskeyOptions is what navigator.credentials.get takes, as JSON (WebAuthn
	// Level 3, PublicKeyCredentialRequestOptionsJSON). Needed where the passkey
	// is selected; the answer comes in "code", as JSON of the credential.
	PasskeyOptions string

	Phones      []Phone       // where a code is sent for the selected method: those to choose from
	SentTo      Phone         // the one a code was sent to; zero: none was
	ResendAfter time.Duration // above zero: no other code is sent until then
	SendURL     string        // POSTed to with "phone", the id
}

// Shown is one field of the request that a proof is for. The page cannot tell
// what it means, so it shows it as it is.
type Shown struct {
	Name  string
	Label string // what the operator calls it; empty: Name
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
	ChangeVouch  Change = "change.vouch"
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

// CodeDigits is how many digits make an answer complete.
func (c Challenge) CodeDigits() int { return codeDigits(c.Digits) }

// codeDigits is 6 where nothing else was said.
func codeDigits(said int) int { return cmp.Or(said, 6) }

// Passed says that a challenge is passed, and leads on by itself. It stands
// between our form and the application, because the form's policy would hold for
// wherever the application redirects to; see Render.
type Passed struct {
	Page
	Action string
	Opens  string // the action type, where the proof answers other windows too; they are told
	URL    string // a path on the site; empty: the person goes on in another window

	Lead // where another site sent the person, the page leads on by a click only
}

// Lead tells a person who passed where the way goes on that another site sent
// them. It is zero where none did.
type Lead struct {
	Foreign bool
	From    string // the site; empty: it did not say
	Address string // empty where the challenge shows the request itself
}

// Left says that a challenge was given up, and leads back to where the person
// came from, for the same reason as Passed.
type Left struct {
	Page
	URL string // a path on the site
}

// Lapsed says that a challenge ran out, and begins it again.
type Lapsed struct {
	Page
	Action   string    // as in Challenge
	Change   Change    // as in Challenge
	Kept     time.Time // until when what the person sent is kept; zero: nothing is
	Lost     bool      // what the person sent is not kept any more
	CancelTo string    // as in Challenge; a hidden field of the form of AgainURL
	AgainURL string    // POSTed to, to begin again; empty: it cannot be
	BackURL  string    // a link, where it cannot be begun again; empty: the person goes on in another window

	Lead // where it leads, and whether another site sent the person there
}

func (Challenge) template() string { return "challenge" }
func (Lapsed) template() string    { return "lapsed" }
func (Passed) template() string    { return "passed" }
func (Left) template() string      { return "left" }

func (Challenge) titleKey() string { return "challenge.title" }
func (Lapsed) titleKey() string    { return "lapsed.title" }
func (Passed) titleKey() string    { return "passed.title" }
func (Left) titleKey() string      { return "left.title" }

func (c Challenge) hasError() bool { return c.Error != NoError || c.RetryAfter > 0 }

func (Challenge) scripted() bool { return true }
func (p Passed) scripted() bool  { return p.Opens != "" }

func (Passed) once() {}
func (Left) once()   {}

// Recent is a new authenticator.
type Recent struct {
	Label string
	Added time.Time
}

// Young is an authenticator that does from a time on.
type Young struct {
	Label string
	Until time.Time
}
