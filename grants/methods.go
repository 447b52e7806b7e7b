package grants

import (
	"fmt"
	"slices"
	"strings"
)

// Methods is a set of means of proof. As what a grant was won with it holds
// one; as what a rule accepts it may hold several, and none accepts any.
type Methods uint16

// The means of proof.
const (
	TOTP          Methods = 1 << iota // a code of an authenticator app, RFC 6238
	RecoveryCode                      // a look-up secret, NIST SP 800-63B section 3.1.2
	SMS                               // a code sent to a phone, NIST SP 800-63B section 3.1.3
	BoundPasskey                      // a passkey that cannot leave its device, WebAuthn level 3 section 6.1.3
	SyncedPasskey                     // a passkey that its provider may copy to other devices
	Email                             // a code sent to a mail address, which NIST SP 800-63B does not accept

	// Unvouched stands in [Grant.Origin] for what no means of proof vouched for,
	// such as an API key that enrolled an account after a reset (S24). It is no
	// means of proof: no rule names it, so only rules that take any accept it.
	Unvouched Methods = 1 << 15
)

// Passkey is a passkey of either kind, which is what a rule asks for; a grant
// says which it was.
const Passkey = BoundPasskey | SyncedPasskey

// Way is how a kind of proof is set up and given.
type Way uint8

// The ways.
const (
	ByApp     Way = iota + 1 // a secret is shown once, and the codes that an app makes of it are typed
	BySent                   // a code is sent, and typed
	ByBrowser                // a browser asks an authenticator, and sends what it says
	ByList                   // codes are handed out beforehand, and typed
)

// Kind is a kind of proof: its row in the one table that everything else reads.
// What it does is in the package of its factor.
type Kind struct {
	// Methods are the bits of it.
	Methods Methods
	// Name is its word in rules, challenges and counters.
	Name string
	// Type is the type of the authenticators that are stored; empty: none are.
	Type string
	// Offer is its word in the addresses by which it is enrolled; empty: it is
	// not enrolled by itself.
	Offer string
	// Field is the field in which its owner writes where codes are to go; empty:
	// nothing is asked. See [Kind.ByIdentity].
	Field string
	// Label is what an authenticator is called to which its owner gives no name.
	Label string
	// Way is how it is set up and given.
	Way Way

	worth []worth // of each bit
}

// ByIdentity reports whether the codes of the kind go to an address that the identity
// source gives.
func (k Kind) ByIdentity() bool { return k.Way == BySent && k.Field == "" }

// worth is what a proof by one bit is worth.
type worth struct {
	method   Methods
	strength int
	amr      string // RFC 8176 section 2, joined by a space
}

// kinds are in the order in which they are offered. A recovery code is a one-time
// password too, though read from paper, and so is a code by mail: RFC 8176 has no
// word for it. It is worth no more than a recovery code, since the mailbox is often
// what resets the password, so that it vouches for nothing that one has added.
var kinds = [...]Kind{
	{Passkey, "passkey", "passkey", "passkeys", "", "Passkey", ByBrowser, []worth{{BoundPasskey, 5, "hwk user"}, {SyncedPasskey, 4, "swk user"}}},
	{TOTP, "totp", "totp", "totp", "", "Authenticator app", ByApp, []worth{{TOTP, 3, "otp"}}},
	{SMS, "sms", "phone", "phones", "phone_number", "Phone", BySent, []worth{{SMS, 2, "sms"}}},
	{Email, "email", "email", "emails", "", "Email", BySent, []worth{{Email, 1, "otp"}}},
	{RecoveryCode, "recovery_code", "", "", "", "", ByList, []worth{{RecoveryCode, 1, "otp"}}},
}

// complete is the strength of what lacks nothing: stronger than every proof.
const complete = 100

// Kinds are the kinds of proof that this gateway knows, the preferred one first.
func Kinds() []Kind { return slices.Clone(kinds[:]) }

// KindOf is the kind of one means of proof; the zero Kind of none and of several.
func KindOf(m Methods) Kind {
	for i := range kinds {
		if m != 0 && m&^kinds[i].Methods == 0 {
			return kinds[i]
		}
	}
	return Kind{}
}

// KindOfType is the kind whose stored authenticators have the type; the zero Kind
// where there is none.
func KindOfType(stored string) Kind {
	for i := range kinds {
		if stored != "" && kinds[i].Type == stored {
			return kinds[i]
		}
	}
	return Kind{}
}

// AllMethods are the means of proof that this gateway knows.
func AllMethods() []Methods {
	all := make([]Methods, len(kinds))
	for i := range kinds {
		all[i] = kinds[i].Methods
	}
	return all
}

// ParseMethod reads the name of one means of proof.
func ParseMethod(s string) (Methods, error) {
	names := make([]string, len(kinds))
	for i := range kinds {
		if kinds[i].Name == s {
			return kinds[i].Methods, nil
		}
		names[i] = kinds[i].Name
	}
	return 0, fmt.Errorf("%q is no means of proof; those known are %s", s, strings.Join(names, ", "))
}

// Accepts reports whether a rule that takes the methods m takes a proof by.
func (m Methods) Accepts(by Methods) bool { return by != 0 && (m == 0 || m&by == by) }

// StrongerThan reports whether the weakest of m is stronger than the weakest of
// n. Nothing is stronger than the empty set, which lacks nothing.
func (m Methods) StrongerThan(n Methods) bool { return m.weakest() > n.weakest() }

// Weaker are the means of proof that are weaker than the weakest of m.
func (m Methods) Weaker() (weaker Methods) {
	least := m.weakest()
	for i := range kinds {
		for _, w := range kinds[i].worth {
			if w.strength < least {
				weaker |= w.method
			}
		}
	}
	return weaker
}

func (m Methods) weakest() int {
	if m&Unvouched != 0 {
		return 0
	}
	least := complete
	for i := range kinds {
		for _, w := range kinds[i].worth {
			if m&w.method != 0 {
				least = min(least, w.strength)
			}
		}
	}
	return least
}

// AMR is what a proof by m is worth as authentication method references (RFC
// 8176 section 2), joined by a space; empty for a set of several.
func (m Methods) AMR() string {
	for i := range kinds {
		for _, w := range kinds[i].worth {
			if m == w.method {
				return w.amr
			}
		}
	}
	return ""
}

// Names lists the methods by name, in a fixed order.
func (m Methods) Names() []string {
	names := make([]string, 0, len(kinds))
	for i := range kinds {
		if m&kinds[i].Methods != 0 {
			names = append(names, kinds[i].Name)
		}
	}
	return names
}

// String is the one method's name, or the names joined by a space.
func (m Methods) String() string {
	for i := range kinds {
		if m != 0 && m&^kinds[i].Methods == 0 {
			return kinds[i].Name
		}
	}
	return strings.Join(m.Names(), " ")
}
