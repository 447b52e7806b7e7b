//go:build components

package components

import (
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"rsc.io/qr"

	"github.com/stepup-gateway/caddy-stepup/totp"
)

// account is who a QR code is for, as an authenticator app must show it.
type account struct{ Issuer, User string }

// awkward are names that one app or another is known to read wrongly. An issuer
// has no colon: the Key Uri Format forbids it, and apps part the label there.
var awkward = map[string]account{
	"plain":                   {"Example", "alice"},
	"Unicode issuer":          {"Bücher & Söhne 株式会社 🏦", "alice"},
	"spaces":                  {"Acme  Intranet", "alice van der Berg"},
	"plus":                    {"A+B", "alice+bank@example.com"},
	"colon in the user":       {"Acme", "corp:alice: x"},
	"percent and separators":  {"100% /?#&=", "50%41&secret=AAAA#?/"},
	"right to left":           {"بنك", "أليس"},
	"100 characters":          {"Acme", strings.Repeat("abcdefghi@", 10)},
	"100 Unicode characters":  {"Acme", strings.Repeat("ł日", 50)},
	"256 bytes, the longest":  {"Acme", strings.Repeat("é", 128)},
	"combining and invisible": {"Acme", "a\u0301\u200balice"},
}

// scan gives the text of the one QR code on a picture, as a camera reads it.
func scan(t *testing.T, png []byte) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "qr.png")
	if err := os.WriteFile(path, png, 0o600); err != nil {
		t.Fatal(err)
	}
	// It also complains where there is no bus, so only its output counts.
	out, err := exec.Command(program(t, "zbarimg"), "-q", "--raw", path).Output()
	if err != nil {
		t.Fatalf("zbarimg reads nothing: %v", err)
	}
	return strings.TrimSuffix(string(out), "\n")
}

// codeFromQR scans a picture and gives what is read to the npm packages otpauth
// and otplib and to oathtool. They must agree on the code at that time, which it
// gives, and the packages on whose it is.
func codeFromQR(t *testing.T, png []byte, whose account, when time.Time) string {
	t.Helper()
	uri := scan(t, png)
	type app struct{ Label, Issuer, Code string }
	var seen struct{ OTPAuth, OTPLib app }
	client(t, "codes.mjs", map[string]any{"uri": uri, "time": when.Unix()}, &seen)
	u, err := url.Parse(uri)
	if err != nil {
		t.Fatal(err)
	}
	q := u.Query()
	// oathtool knows no URIs.
	out, err := exec.Command(program(t, "oathtool"), "--base32", "--totp="+q.Get("algorithm"), "--digits="+q.Get("digits"),
		"--time-step-size="+q.Get("period")+"s", "--now=@"+strconv.FormatInt(when.Unix(), 10), q.Get("secret")).CombinedOutput()
	if err != nil {
		t.Fatalf("oathtool: %v: %s", err, out)
	}
	code := strings.TrimSpace(string(out))
	for name, a := range map[string]app{"otpauth": seen.OTPAuth, "otplib": seen.OTPLib} {
		if want := whose.Issuer + ":" + whose.User; a.Label != want {
			t.Errorf("%s reads the label %q, want %q, in %s", name, a.Label, want, uri)
		}
		if a.Issuer != whose.Issuer {
			t.Errorf("%s reads the issuer %q, want %q, in %s", name, a.Issuer, whose.Issuer, uri)
		}
		if a.Code != code {
			t.Errorf("%s shows the code %s, oathtool %s, from %s", name, a.Code, code, uri)
		}
	}
	return code
}

// TestQRIsReadAlike draws the keys of the domain as QR codes. What scanners and
// apps make of them is what the domain accepts.
func TestQRIsReadAlike(t *testing.T) {
	when := time.Date(2027, 3, 1, 12, 0, 0, 0, time.UTC)
	draw := func(t *testing.T, p totp.Params, whose account) {
		t.Helper()
		key, err := totp.NewKey(p)
		if err != nil {
			t.Fatal(err)
		}
		picture, err := qr.Encode(key.URI(whose.Issuer, whose.User), qr.M)
		if err != nil {
			t.Fatal(err)
		}
		code := codeFromQR(t, picture.PNG(), whose, when)
		if step, err := totp.Match(key, code, when, 0); err != nil || step != totp.At(when) {
			t.Errorf("the apps' code %s matches step %d: %v", code, step, err)
		}
	}
	for name, whose := range awkward {
		t.Run(name, func(t *testing.T) { draw(t, totp.Default(), whose) })
	}
	for _, a := range []totp.Algorithm{totp.SHA1, totp.SHA256, totp.SHA512} {
		for _, digits := range []int{6, 8} {
			t.Run(string(a)+", "+strconv.Itoa(digits)+" digits", func(t *testing.T) {
				draw(t, totp.Params{Algorithm: a, Digits: digits}, awkward["plain"])
			})
		}
	}
}
