package totp_test

import (
	"fmt"
	"time"

	"github.com/stepup-gateway/caddy-stepup/totp"
)

// A code is accepted once: the step that matched is stored, before success is
// reported, and is the last one from then on.
func ExampleMatch() {
	key := totp.Key{Secret: []byte("12345678901234567890"), Params: totp.Default()} // RFC 6238, appendix B
	now := time.Unix(1111111109, 0)
	var last totp.Step

	step, err := totp.Match(key, "081804", now, last)
	fmt.Println(step, err)
	last = step // durably

	_, err = totp.Match(key, "081804", now, last)
	fmt.Println(err)
	_, err = totp.Match(key, "123456", now, last)
	fmt.Println(err)
	// Output:
	// 37037036 <nil>
	// code was used before
	// code does not match
}

// What an authenticator app scans as a QR code.
func ExampleKey_URI() {
	key := totp.Key{Secret: []byte("12345678901234567890"), Params: totp.Default()}
	fmt.Println(key.URI("Acme Intranet", "alice@example.com"))
	fmt.Println(key) // the secret is hidden from logs
	// Output:
	// otpauth://totp/Acme%20Intranet:alice%40example.com?secret=GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ&issuer=Acme%20Intranet&algorithm=SHA1&digits=6&period=30
	// totp.Key(SHA1,6)
}

func ExampleCode() {
	key := totp.Key{Secret: []byte("12345678901234567890"), Params: totp.Params{Algorithm: totp.SHA1, Digits: 8}}
	code, err := totp.Code(key, time.Unix(59, 0))
	fmt.Println(code, err)
	// Output: 94287082 <nil>
}
