package pages

// Method names of the ways to prove, as in the JSON API; each has words in the
// catalogue under "method.<name>".
const (
	MethodTOTP     = "totp"
	MethodPasskey  = "passkey"
	MethodSMS      = "sms"
	MethodRecovery = "recovery_code"
)

// MethodName is what a way to prove is called in a language.
func MethodName(lang, method string) string { return wordsFor(lang).say("method." + method) }

// Method is one way to prove that a challenge page offers.
type Method struct {
	Name     string // one of the Method constants
	URL      string // the challenge page with this method selected
	Selected bool
}

// Phone is a phone that can be sent a code. Of its number only the end is
// shown, to its own user.
type Phone struct {
	ID     string
	Suffix string // the last digits
}

// FieldError says what was wrong with the one thing a person typed. Its values
// are keys of the catalogue.
type FieldError string

// What can be wrong with an answer.
const (
	NoError         FieldError = ""
	WrongCode       FieldError = "error.wrong_code"     // not accepted: wrong, used or too old
	WrongClock      FieldError = "error.wrong_clock"    // right, but for another time: see Enroll.ClockOff
	LateCode        FieldError = "error.late_code"      // shown minutes ago: see Challenge.ClockOff
	WrongRecovery   FieldError = "error.wrong_recovery" // recovery code not accepted
	WrongSMS        FieldError = "error.wrong_sms"      // code sent by message not accepted
	WrongPasskey    FieldError = "error.wrong_passkey"  // passkey not accepted
	MalformedCode   FieldError = "error.malformed_code" // not of the form of a code: not counted
	WrongInvite     FieldError = "error.wrong_invite"   // invite unknown, used or expired
	MissingInvite   FieldError = "error.missing_invite" // policy asks for one
	BadLabel        FieldError = "error.bad_label"      // name too long or with control characters
	BadPhone        FieldError = "error.bad_phone"      // not a number that can be called
	PhoneNotAllowed FieldError = "error.phone_refused"  // a number, but nothing is sent there
	NotSent         FieldError = "error.not_sent"       // the sender failed: nothing was used up
	TooManySends    FieldError = "error.too_many_sends" // messages sent in the last minutes
)

// WrongAnswer is what is wrong with an answer of the method that is not accepted.
func WrongAnswer(method string) FieldError {
	switch method {
	case MethodTOTP:
		return WrongCode
	case MethodRecovery:
		return WrongRecovery
	}
	return FieldError("error.wrong_" + method)
}

var (
	_ View = Challenge{}
	_ View = Lapsed{}
	_ View = Passed{}
	_ View = Left{}
	_ View = EnrollStart{}
	_ View = Enroll{}
	_ View = EnrollPhone{}
	_ View = EnrollPasskey{}
	_ View = RecoveryCodes{}
	_ View = Security{}
	_ View = Confirm{}
	_ View = Rename{}
	_ View = Frame{}
	_ View = Message{}
)
