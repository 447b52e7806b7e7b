package grants

import (
	"crypto/sha256"
	"encoding/base64"
)

// Token is what the holder of a grant keeps: a prefix and 32 random bytes in
// base64url. It is a secret: print its [Token.ID] at most.
type Token struct {
	raw     [32]byte
	session bool // begins with SessionPrefix
}

// The prefixes of tokens, by which secret scanners know them.
const (
	// TokenPrefix begins the token of a grant.
	TokenPrefix = "sug_"
	// SessionPrefix begins the token of a grant that was asked for as a session
	// token; see [Demand.SessionToken].
	SessionPrefix = "sess_"
)

// digitsLen is the length of 32 bytes in base64url.
const digitsLen = 43

// tokenText refuses a second spelling of the same bytes.
var tokenText = base64.RawURLEncoding.Strict()

// ID is the SHA-256 of a token, under which its grant is stored.
type ID [32]byte

// ParseToken reads the text of a token, of which there is exactly one. It fails
// with [ErrBadToken].
func ParseToken(s string) (Token, error) {
	var t Token
	var prefix string
	switch len(s) {
	case len(TokenPrefix) + digitsLen:
		prefix = TokenPrefix
	case len(SessionPrefix) + digitsLen:
		prefix, t.session = SessionPrefix, true
	default:
		return Token{}, ErrBadToken
	}
	if s[:len(prefix)] != prefix {
		return Token{}, ErrBadToken
	}
	// Line breaks are skipped, and show in a result that is too short.
	var buf [digitsLen]byte
	n := copy(buf[:], s[len(prefix):])
	if n, err := tokenText.Decode(t.raw[:], buf[:n]); err != nil || n != len(t.raw) {
		return Token{}, ErrBadToken
	}
	return t, nil
}

// ID returns the identifier of the token. Two tokens of the same bytes and of
// different prefixes have different ones, so that neither is a second spelling of
// the other.
func (t Token) ID() ID {
	if !t.session {
		return sha256.Sum256(t.raw[:])
	}
	var text [len(SessionPrefix) + len(t.raw)]byte
	copy(text[copy(text[:], SessionPrefix):], t.raw[:])
	return sha256.Sum256(text[:])
}

func (t Token) prefix() string {
	if t.session {
		return SessionPrefix
	}
	return TokenPrefix
}

// Text returns the token as a cookie or a server carries it. It is a secret.
func (t Token) Text() string {
	return t.prefix() + base64.RawURLEncoding.EncodeToString(t.raw[:])
}

// String hides the token from logs.
func (t Token) String() string { return t.prefix() + "…" }

// GoString hides the token from %#v.
func (t Token) GoString() string { return t.String() }
