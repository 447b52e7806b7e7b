package grants

import (
	"fmt"
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

	// Unvouched stands in [Grant.Origin] for what no means of proof vouched for,
	// such as an API key that enrolled an account after a reset (S24). It is no
	// means of proof: no rule names it, so only rules that take any accept it.
	Unvouched Methods = 1 << 15
)

// Passkey is a passkey of either kind, which is what a rule asks for; a grant
// says which it was.
const Passkey = BoundPasskey | SyncedPasskey

// methodNames are in the order in which they are offered.
var methodNames = [...]struct {
	set  Methods
	name string
}{
	{Passkey, "passkey"},
	{TOTP, "totp"},
	{SMS, "sms"},
	{RecoveryCode, "recovery_code"},
}

// AllMethods are the means of proof that this gateway knows.
func AllMethods() []Methods {
	all := make([]Methods, len(methodNames))
	for i, m := range methodNames {
		all[i] = m.set
	}
	return all
}

// ParseMethod reads the name of one means of proof.
func ParseMethod(s string) (Methods, error) {
	names := make([]string, len(methodNames))
	for i, m := range methodNames {
		if m.name == s {
			return m.set, nil
		}
		names[i] = m.name
	}
	return 0, fmt.Errorf("%q is no means of proof; those known are %s", s, strings.Join(names, ", "))
}

// Accepts tells whether a rule that takes the methods m takes a proof by.
func (m Methods) Accepts(by Methods) bool { return by != 0 && (m == 0 || m&by == by) }

// byStrength are the means of proof from the weakest to the strongest.
var byStrength = [...]Methods{Unvouched, RecoveryCode, SMS, TOTP, SyncedPasskey, BoundPasskey}

// StrongerThan reports whether the weakest of m is stronger than the weakest of
// n. Nothing is stronger than the empty set, which lacks nothing.
func (m Methods) StrongerThan(n Methods) bool { return m.weakest() > n.weakest() }

func (m Methods) weakest() int {
	for i, one := range byStrength {
		if m&one != 0 {
			return i
		}
	}
	return len(byStrength)
}

// AMR is what a proof by m is worth as authentication method references (RFC
// 8176 section 2), joined by a space. A recovery code is a one-time password too,
// though read from paper.
func (m Methods) AMR() string {
	switch m {
	case TOTP, RecoveryCode:
		return "otp"
	case SMS:
		return "sms"
	case BoundPasskey:
		return "hwk user"
	case SyncedPasskey:
		return "swk user"
	}
	return ""
}

// Names lists the methods by name, in a fixed order.
func (m Methods) Names() []string {
	names := make([]string, 0, len(methodNames))
	for _, n := range methodNames {
		if m&n.set != 0 {
			names = append(names, n.name)
		}
	}
	return names
}

// String is the one method's name, or the names joined by a space.
func (m Methods) String() string {
	for _, n := range methodNames {
		if m != 0 && m&^n.set == 0 {
			return n.name
		}
	}
	return strings.Join(m.Names(), " ")
}
