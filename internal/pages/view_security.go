package pages

import "time"

// Authenticator is one enrolled means of proof as the security page lists it.
type Authenticator struct {
	Label     string
	Kind      string // a Method constant
	Added     time.Time
	LastUsed  time.Time // zero: never
	RenameURL string
	RemoveURL string
	Suffix    string // by what its owner knows again where its codes go; of a phone: the last digits
	Synced    bool   // of a passkey: it may be on other devices too
	// Recent is set for a new one; NotMeURL is POSTed to by "this was not me",
	// empty where only the operator can help. Fresh is when it is worth what it is,
	// zero once it is, VouchedBy the Method constants by which it was added.
	Recent    bool
	NotMeURL  string
	Fresh     time.Time
	VouchedBy []string
	VouchURL  string // empty: nothing can vouch for it
	Suspended bool
	// Unconfirmed is set, with Suspended, of what waits for the operator.
	Unconfirmed bool
	Elsewhere   bool // not used, since the person's sign-in gives another address
	Cloned      bool // of a passkey: its counter went backwards, so somebody may have a copy
}

// Grant is one live grant as the security page lists it.
type Grant struct {
	Action    string
	Change    Change // set where it is for changing one's own authenticators
	OneTime   bool
	Expires   time.Time
	RevokeURL string // POSTed to
}

// Activity is one thing that happened, as the security page lists it.
type Activity struct {
	Time    time.Time
	Kind    ActivityKind
	Method  string // by what, a Method constant; may be empty
	Label   string // what the authenticator is called by which; may be empty
	Action  string // what the action, or the authenticator that was changed, is called; may be empty
	Address string // from where; may be empty
	Key     string // the id of the API key that did it; empty: the person themselves, or the operator
}

// ActivityKind is what happened. Its values are keys of the catalogue.
type ActivityKind string

// What happens.
const (
	ActivityPassed   ActivityKind = "activity.passed"  // a proof was accepted
	ActivityRefused  ActivityKind = "activity.refused" // a proof was not accepted
	ActivityAdded    ActivityKind = "activity.added"
	ActivityRenamed  ActivityKind = "activity.renamed"
	ActivityRemoved  ActivityKind = "activity.removed"
	ActivityRenewed  ActivityKind = "activity.renewed"  // new recovery codes
	ActivityRevoked  ActivityKind = "activity.revoked"  // a grant was ended
	ActivitySent     ActivityKind = "activity.sent"     // a code was sent
	ActivityVouched  ActivityKind = "activity.vouched"  // a stronger one vouched for it
	ActivityDisowned ActivityKind = "activity.disowned" // "this was not me"
	ActivityReset    ActivityKind = "activity.reset"    // an operator took the authenticators away
	ActivityUnlock   ActivityKind = "activity.unlock"   // an operator gave new attempts
)

// Security is the page on which people see and manage their own.
type Security struct {
	Page
	Done           Done
	Authenticators []Authenticator
	Grants         []Grant
	Activity       []Activity // newest first; empty hides the list
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
	Vouched     Done = "done.vouched"
	Disowned    Done = "done.disowned"
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
	ConfirmVouch  ConfirmKind = "confirm.vouch"
)

// Rename asks for an authenticator's new name.
type Rename struct {
	Page
	Label     string
	Error     FieldError
	FormURL   string
	CancelURL string
}

func (Security) template() string { return "security" }
func (Confirm) template() string  { return "confirm" }
func (Rename) template() string   { return "rename" }

func (Security) titleKey() string  { return "security.title" }
func (c Confirm) titleKey() string { return string(c.Kind) + ".title" }
func (Rename) titleKey() string    { return "rename.title" }

func (r Rename) hasError() bool { return r.Error != NoError }

func (Security) scripted() bool { return true }
