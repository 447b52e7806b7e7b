package totp

import (
	"encoding/base32"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/pquerna/otp"
)

// seed is the ASCII secret of RFC 6238 appendix B, repeated to n bytes.
func seed(n int) []byte { return []byte(strings.Repeat("1234567890", 7))[:n] }

func at(unix int64) time.Time { return time.Unix(unix, 0) }

func appendixB(a Algorithm) Key {
	n := map[Algorithm]int{SHA1: 20, SHA256: 32, SHA512: 64}[a]
	return Key{Secret: seed(n), Params: Params{Algorithm: a, Digits: 8}}
}

// The table of RFC 6238 appendix B.
func TestRFC6238AppendixB(t *testing.T) {
	tests := []struct {
		unix int64
		step Step
		code [3]string
	}{
		{59, 0x1, [3]string{"94287082", "46119246", "90693936"}},
		{1111111109, 0x23523EC, [3]string{"07081804", "68084774", "25091201"}},
		{1111111111, 0x23523ED, [3]string{"14050471", "67062674", "99943326"}},
		{1234567890, 0x273EF07, [3]string{"89005924", "91819424", "93441116"}},
		{2000000000, 0x3F940AA, [3]string{"69279037", "90698825", "38618901"}},
		{20000000000, 0x27BC86AA, [3]string{"65353130", "77737706", "47863826"}},
	}
	for _, test := range tests {
		for i, a := range []Algorithm{SHA1, SHA256, SHA512} {
			k := appendixB(a)
			if step, err := Match(k, test.code[i], at(test.unix), 0); err != nil || step != test.step {
				t.Errorf("%s at %d: step %d, %v", a, test.unix, step, err)
			}
			if code, err := Code(k, at(test.unix)); err != nil || code != test.code[i] {
				t.Errorf("%s at %d: code %s, %v", a, test.unix, code, err)
			}
		}
	}
}

func newKey(t testing.TB, skew int) Key {
	t.Helper()
	k, err := NewKey(Params{Algorithm: SHA1, Digits: 6, Skew: skew})
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func codeAt(t testing.TB, k Key, when time.Time) string {
	t.Helper()
	code, err := Code(k, when)
	if err != nil {
		t.Fatal(err)
	}
	return code
}

func TestSkew(t *testing.T) {
	// A key in whose codes around the time there are no two alike.
	k := Key{Secret: seed(20), Params: Params{Algorithm: SHA1, Digits: 6}}
	begin := at(1234567890) // a step begins here
	code := codeAt(t, k, begin)
	for skew := range 3 {
		k.Skew = skew
		first, last := begin.Add(-time.Duration(skew)*Period), begin.Add(time.Duration(skew+1)*Period-1)
		for _, test := range []struct {
			now  time.Time
			want error
		}{
			{first.Add(-1), ErrMismatch}, {first, nil}, {begin, nil}, {last, nil}, {last.Add(1), ErrMismatch},
		} {
			step, err := Match(k, code, test.now, 0)
			if !errors.Is(err, test.want) || err == nil && step != At(begin) {
				t.Errorf("skew %d at %v: step %d, %v", skew, test.now.Sub(begin), step, err)
			}
		}
	}
	k.Skew = MaxSkew
	for _, unix := range []int64{-100, 0, 29, 30, 31} {
		if _, err := Match(k, "000000", at(unix), 0); !errors.Is(err, ErrMismatch) {
			t.Error("around 1970:", err)
		}
	}
	if step, err := Match(k, codeAt(t, k, at(0)), at(10), 0); !errors.Is(err, ErrMismatch) {
		t.Error("step 0, which stands for none, is accepted as", step)
	}
}

func TestS04CodeIsRefusedOnceItsStepWasAccepted(t *testing.T) {
	k := Key{Secret: seed(20), Params: Params{Algorithm: SHA1, Digits: 6, Skew: 1}}
	now := at(1234567890)
	before, current, next := codeAt(t, k, now.Add(-Period)), codeAt(t, k, now), codeAt(t, k, now.Add(Period))
	step, err := Match(k, current, now, 0)
	if err != nil {
		t.Fatal(err)
	}
	for _, code := range []string{before, current} {
		for _, later := range []time.Duration{0, Period - 1, -Period} {
			if code == before && later != 0 {
				continue
			}
			if _, err := Match(k, code, now.Add(later), step); !errors.Is(err, ErrReplayed) {
				t.Errorf("%v later: %v", later, err)
			}
		}
	}
	if got, err := Match(k, next, now, step); err != nil || got != step+1 {
		t.Error(got, err)
	}
	// A clock that was set back accepts nothing that a later one accepted.
	if _, err := Match(k, current, now, step+100); !errors.Is(err, ErrReplayed) {
		t.Error(err)
	}
}

func TestFormOfCodes(t *testing.T) {
	k := appendixB(SHA1)
	k.Digits = 8
	for _, code := range []string{"94287082", "9428 7082", " 94287082\t", "94-28-70-82", "9428\u00a07082", "9428\u202f7082"} {
		if _, err := Match(k, code, at(59), 0); err != nil {
			t.Errorf("%q: %v", code, err)
		}
	}
	for _, code := range []string{"", " ", "9428708", "094287082", "9428708a", "a4287082", "9428a082", "٩٤٢٨٧٠٨٢", "９４２８７０８２",
		"94287082\x00", "94287082\n", "\xff94287082", "+94287082", "94287082" + strings.Repeat(" ", 40), "0x94287082", "94287082.0"} {
		if _, err := Match(k, code, at(59), 0); !errors.Is(err, ErrMalformed) {
			t.Errorf("%q: %v", code, err)
		}
	}
}

// A key whose record lost a part must match nothing rather than something that
// can be computed.
func TestBrokenKeysMatchNothing(t *testing.T) {
	good := appendixB(SHA1)
	for name, change := range map[string]func(*Key){
		"no secret":     func(k *Key) { k.Secret = nil },
		"short secret":  func(k *Key) { k.Secret = k.Secret[:9] },
		"no digits":     func(k *Key) { k.Digits = 0 },
		"seven digits":  func(k *Key) { k.Digits = 7 },
		"no algorithm":  func(k *Key) { k.Algorithm = "" },
		"MD5":           func(k *Key) { k.Algorithm = "MD5" },
		"endless skew":  func(k *Key) { k.Skew = 1 << 40 },
		"negative skew": func(k *Key) { k.Skew = -1 },
	} {
		k := good
		change(&k)
		for _, code := range []string{"", "0", "94287082"} {
			if step, err := Match(k, code, at(59), 0); err == nil {
				t.Errorf("%s: %q matches step %d", name, code, step)
			}
		}
	}
	if _, err := NewKey(Params{}); err == nil {
		t.Error("a key is made of no parameters")
	}
}

func TestKeyIsHidden(t *testing.T) {
	k := newKey(t, 1)
	for _, verb := range []string{"%v", "%+v", "%#v", "%s"} {
		got := fmt.Sprintf(verb, k)
		if strings.Contains(got, k.Base32()) || strings.Contains(got, fmt.Sprint(k.Secret)) || strings.Contains(got, fmt.Sprintf("%#v", k.Secret)) {
			t.Errorf("%s shows the secret: %s", verb, got)
		}
	}
}

func TestURI(t *testing.T) {
	k := Key{Secret: seed(20), Params: Default()}
	long := strings.Repeat("ü", 50) + strings.Repeat("x", 50)
	for _, test := range []struct{ issuer, account string }{
		{"Acme", "alice@example.com"},
		{"Acme Intranet", "Alice B. Cooper"},
		{"Zürich 銀行", "jürgen"},
		{"a+b", "c+d@example.com"},
		{"R&D=100%?#/", "a/b?c#d&e=f%20"},
		{"Acme", "tenant:alice"},
		{"Acme: West", "alice"},
		{"Acme", long},
	} {
		uri := k.URI(test.issuer, test.account)
		if strings.ContainsAny(uri, "+ ") || strings.Contains(uri, "=\n") || strings.Count(uri, ":") != 2 {
			t.Errorf("apps read this differently: %s", uri)
		}
		parsed, err := otp.NewKeyFromURL(uri)
		if err != nil {
			t.Errorf("%s: %v", uri, err)
			continue
		}
		if parsed.Type() != "totp" || parsed.Issuer() != test.issuer || parsed.Secret() != k.Base32() ||
			parsed.Period() != 30 || parsed.Digits() != otp.DigitsSix || parsed.Algorithm() != otp.AlgorithmSHA1 {
			t.Errorf("%s is read as %+v", uri, parsed)
		}
		u, err := url.Parse(uri)
		if err != nil {
			t.Error(err)
			continue
		}
		// The label is split at its first colon as it is written.
		issuer, account, _ := strings.Cut(strings.TrimPrefix(u.EscapedPath(), "/"), ":")
		if got, _ := url.PathUnescape(issuer); got != test.issuer {
			t.Errorf("issuer in the label is %q", got)
		}
		if got, _ := url.PathUnescape(account); got != test.account {
			t.Errorf("account in the label is %q", got)
		}
	}
	secret, err := base32.StdEncoding.WithPadding(base32.NoPadding).DecodeString(k.Base32())
	if err != nil || string(secret) != string(k.Secret) || strings.ToUpper(k.Base32()) != k.Base32() {
		t.Error("base32:", k.Base32(), err)
	}
	if got := (Key{Secret: seed(20), Params: Params{Algorithm: SHA512, Digits: 8}}).URI("", "x"); !strings.HasPrefix(got, "otpauth://totp/x?secret=") ||
		!strings.HasSuffix(got, "&algorithm=SHA512&digits=8&period=30") || strings.Contains(got, "issuer") {
		t.Error(got)
	}
}

// No text but the steps' own codes matches, and none panics.
func FuzzMatch(f *testing.F) {
	k := Key{Secret: seed(20), Params: Params{Algorithm: SHA1, Digits: 6, Skew: 1}}
	now := at(1234567890)
	valid := make(map[string]bool)
	for d := -Period; d <= Period; d += Period {
		code := codeAt(f, k, now.Add(d))
		valid[code] = true
		f.Add(code)
		f.Add(code[:3] + " " + code[3:])
	}
	f.Add("٩٤٢٨٧٠")
	f.Add("\xff\xfe")
	f.Fuzz(func(t *testing.T, code string) {
		step, err := Match(k, code, now, 0)
		if err != nil {
			if !errors.Is(err, ErrMalformed) && !errors.Is(err, ErrMismatch) {
				t.Fatal(err)
			}
			return
		}
		digits := strings.Map(func(r rune) rune {
			if r < '0' || r > '9' {
				return -1
			}
			return r
		}, code)
		if !valid[digits] || step == 0 {
			t.Fatalf("%q is accepted", code)
		}
	})
}
