//go:build components

package components

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"rsc.io/qr"

	"github.com/stepup-gateway/caddy-stepup/internal/freeport"
	"github.com/stepup-gateway/caddy-stepup/tests/gateway"
	"github.com/stepup-gateway/caddy-stepup/totp"
)

// account is who a QR code is for, as an authenticator app must show it.
type account struct{ Issuer, User string }

// awkward are names that one app or another is known to read wrongly. An issuer
// has no colon: the Key Uri Format forbids it, and apps part the label there. No
// two have one user id, as it is kept.
var awkward = map[string]account{
	"plain":                   {"Example", "alice"},
	"Unicode issuer":          {"Bücher & Söhne 株式会社 🏦", "bob"},
	"spaces":                  {"Acme  Intranet", "alice van der Berg"},
	"plus":                    {"A+B", "alice+bank@example.com"},
	"colon in the user":       {"Acme", "corp:alice: x"},
	"percent and separators":  {"100% /?#&=", "50%41&secret=AAAA#?/"},
	"right to left":           {"بنك", "أليس"},
	"100 characters":          {"Acme", strings.Repeat("abcdefghi@", 10)},
	"100 Unicode characters":  {"Acme", strings.Repeat("ł日", 50)},
	"256 bytes, the longest":  {"Acme", strings.Repeat("é", 128)},
	"combining and invisible": {"A\u0301cme", "\u00e1lice"},
}

// scan returns the text of the one QR code on a picture, as a camera reads it.
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

// TestQRImageIsReadAlike enrolls everybody with an awkward name over the API. What
// scanners and apps make of the images is what the gateway then accepts.
func TestQRImageIsReadAlike(t *testing.T) {
	api := "http://127.0.0.1:" + freeport.Find(t)
	config := func(issuer string) string {
		return strings.Replace(bank(""), `issuer "Test"`, `issuer "`+issuer+`"`, 1) + "\n" + api + " {\n\tbind 127.0.0.1\n\tstep_up_api\n}\n"
	}
	g := gateway.Start(t, config("Test"), gateway.Options{Upstream: newCounter(t).addr})
	key := newKey(t, g, []string{"enroll", "verify"}, "SESSION")
	call := func(t *testing.T, path string, body map[string]string) (answer struct {
		ID       string `json:"enrollment_id"`
		URL      string `json:"qr_code_url"`
		Verified bool
	}) {
		t.Helper()
		text, err := json.Marshal(body)
		if err != nil {
			t.Fatal(err)
		}
		r, err := http.NewRequest("POST", api+path, bytes.NewReader(text))
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Authorization", "Bearer "+key)
		r.Header.Set("Content-Type", "application/json")
		r.Close = true // a connection that waits would end with the next reload
		resp, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		if err := json.NewDecoder(resp.Body).Decode(&answer); err != nil || resp.StatusCode != http.StatusOK {
			t.Fatal(path, resp.Status, err)
		}
		return answer
	}
	for name, whose := range awkward {
		t.Run(name, func(t *testing.T) {
			if err := g.Load(config(whose.Issuer)); err != nil {
				t.Fatal(err)
			}
			begun := call(t, "/v1/mfa/enroll", map[string]string{"user_id": whose.User, "method": "totp"})
			resp, err := http.Get(begun.URL)
			if err != nil {
				t.Fatal(err)
			}
			defer resp.Body.Close()
			picture, err := io.ReadAll(resp.Body)
			if err != nil || resp.StatusCode != http.StatusOK {
				t.Fatal(resp.Status, err)
			}
			code := codeFromQR(t, picture, whose, time.Now())
			if !call(t, "/v1/mfa/verify", map[string]string{"enrollment_id": begun.ID, "totp_code": code}).Verified {
				t.Error("the apps' code is not accepted")
			}
		})
	}
}

// TestQRIsReadAlike draws keys of every kind as QR codes.
func TestQRIsReadAlike(t *testing.T) {
	when := time.Date(2027, 3, 1, 12, 0, 0, 0, time.UTC)
	for _, a := range []totp.Algorithm{totp.SHA1, totp.SHA256, totp.SHA512} {
		for _, digits := range []int{6, 8} {
			t.Run(string(a)+", "+strconv.Itoa(digits)+" digits", func(t *testing.T) {
				whose := awkward["plain"]
				key, err := totp.NewKey(totp.Params{Algorithm: a, Digits: digits})
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
			})
		}
	}
}
