package grants

import (
	"encoding/base64"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"
)

var (
	noon   = time.Date(2027, 1, 15, 12, 0, 0, 0, time.UTC)
	pay    = MustAction("PAY")
	holder = Holder{1}
	bound  = Binding{Session: [32]byte{2}, Request: [32]byte{3}}
)

func demand() Demand {
	return Demand{Action: pay, Use: TimeBased, TTL: 10 * time.Minute, Methods: TOTP}
}

// A grant is good for exactly what it was issued for. Whichever field differs,
// the answer is the same but for the cause that the audit log is told.
func TestS02GrantIsGoodForItsDemandOnly(t *testing.T) {
	type scene struct {
		g   Grant
		d   Demand
		h   Holder
		b   Binding
		now time.Time
	}
	tests := []struct {
		cause  string // "" passes
		change func(*scene)
	}{
		{"", func(*scene) {}},
		{"", func(s *scene) { s.now = noon.Add(10*time.Minute - 1) }},
		{"", func(s *scene) { s.d.Methods = 0 }},
		{"", func(s *scene) { s.d.Methods = TOTP | RecoveryCode }},
		{"", func(s *scene) { s.now = noon.Add(-4 * time.Second) }},
		{"", func(s *scene) { s.d.TTL = time.Hour }}, // a longer rule lengthens nothing, see below
		{"expired", func(s *scene) { s.d.TTL = time.Hour; s.now = noon.Add(10 * time.Minute) }},
		{"other_subject", func(s *scene) { s.h = Holder{9} }},
		{"other_subject", func(s *scene) { s.h = Holder{} }},
		{"other_action", func(s *scene) { s.d.Action = MustAction("PAY2") }},
		{"other_action", func(s *scene) { s.d.Action = Action{} }},
		{"other_grant_type", func(s *scene) { s.d.Use = OneTimeUse }},
		{"other_grant_type", func(s *scene) { s.d.Use, s.g.Use = 0, 0 }},
		{"expired", func(s *scene) { s.now = noon.Add(10 * time.Minute) }},
		{"not_yet_valid", func(s *scene) { s.now = noon.Add(-6 * time.Second) }},
		{"older_than_demanded", func(s *scene) { s.d.TTL = 5 * time.Minute; s.now = noon.Add(5 * time.Minute) }},
		{"older_than_demanded", func(s *scene) { s.d.TTL = 0 }},
		{"older_than_demanded", func(s *scene) { s.d.TTL = -1; s.now = noon.Add(-time.Second) }},
		{"older_than_demanded", func(s *scene) {
			s.d.TTL, s.g.Expires = 1000*time.Hour, noon.Add(1000*time.Hour).UnixNano()
			s.now = noon.Add(MaxTTL)
		}},
		{"method_not_accepted", func(s *scene) { s.d.Methods = RecoveryCode }},
		{"method_not_accepted", func(s *scene) { s.d.Methods, s.g.Methods = 0, 0 }},
		{"method_not_accepted", func(s *scene) { s.g.Methods = TOTP | RecoveryCode }},
		{"other_session", func(s *scene) { s.b.Session[0]++ }},
		{"other_session", func(s *scene) { s.b.Session = [32]byte{} }},
		{"other_session", func(s *scene) { s.g.Session = [16]byte{} }},
		{"other_request", func(s *scene) { s.b.Request[31]++ }},
		{"other_request", func(s *scene) { s.b.Request = [32]byte{} }},
		{"other_request", func(s *scene) { s.g.Request = [32]byte{} }},
		{"minted_by_api", func(s *scene) { s.g.API = true }},
	}
	for i, test := range tests {
		t.Run(fmt.Sprintf("%d %s", i, test.cause), func(t *testing.T) {
			s := scene{d: demand(), h: holder, b: bound, now: noon}
			s.g, _ = Issue(s.d, holder, bound, TOTP, noon)
			test.change(&s)
			err := s.g.Check(&s.d, &s.h, &s.b, s.now)
			if test.cause == "" {
				if err != nil {
					t.Fatal("refused:", CauseOf(err))
				}
				return
			}
			if !errors.Is(err, ErrNoGrant) {
				t.Fatalf("got %v, want ErrNoGrant", err)
			}
			if err.Error() != ErrNoGrant.Error() || fmt.Sprintf("%v %s", err, err) != fmt.Sprintf("%v %s", ErrNoGrant, ErrNoGrant) {
				t.Errorf("the answer tells the cause: %v", err)
			}
			if got := CauseOf(fmt.Errorf("checking: %w", err)); got != test.cause {
				t.Errorf("cause %q, want %q", got, test.cause)
			}
		})
	}
	if CauseOf(ErrNoGrant) != "absent" || CauseOf(ErrSpent) != "spent" || !errors.Is(ErrSpent, ErrNoGrant) {
		t.Error("causes of ErrNoGrant and ErrSpent")
	}
}

func TestZeroGrantSatisfiesNothing(t *testing.T) {
	var g Grant
	if err := g.Check(&Demand{}, &Holder{}, &Binding{}, time.Time{}); !errors.Is(err, ErrNoGrant) {
		t.Fatal(err)
	}
}

func TestTTLIsAbsoluteAndCapped(t *testing.T) {
	d := demand()
	d.TTL = 48 * time.Hour
	g, _ := Issue(d, holder, bound, TOTP, noon)
	if got := time.Duration(g.Expires - g.AuthTime); got != MaxTTL {
		t.Fatalf("holds %v, want at most %v", got, MaxTTL)
	}
}

// A grant lies in a map by the million: the collector must find no pointers in
// it, and the map must keep it in place, which it does up to 128 bytes.
func TestGrantIsSmallAndWithoutPointers(t *testing.T) {
	typ := reflect.TypeFor[Grant]()
	if typ.Size() > 128 {
		t.Errorf("a grant has %d bytes", typ.Size())
	}
	for i := range typ.NumField() {
		f := typ.Field(i)
		kind := f.Type.Kind()
		if kind == reflect.Array {
			kind = f.Type.Elem().Kind()
		}
		if kind < reflect.Bool || kind > reflect.Uint64 {
			t.Errorf("%s is %s, which may hold pointers", f.Name, f.Type)
		}
	}
}

func TestCheckAllocatesNothing(t *testing.T) {
	d, b := demand(), bound
	g, token := Issue(d, holder, b, TOTP, noon)
	text := token.Text()
	bad := g
	bad.Expires = 0
	got := testing.AllocsPerRun(100, func() {
		parsed, err := ParseToken(text)
		if err != nil || parsed.ID() == (ID{}) || g.Check(&d, &holder, &b, noon) != nil || bad.Check(&d, &holder, &b, noon) == nil {
			t.Fail()
		}
	})
	if got != 0 {
		t.Errorf("%v allocations", got)
	}
}

func TestTokenHasOneSpelling(t *testing.T) {
	_, token := Issue(demand(), holder, bound, TOTP, noon)
	text := token.Text()
	if parsed, err := ParseToken(text); err != nil || parsed != token || len(text) != 47 {
		t.Fatal(text, err)
	}
	last := text[:len(text)-1]
	bad := []string{"", "sug_", text + "=", text + "A", last, " " + text, text + "\n", last + "\n", last[:20] + "\n" + last[20:],
		"SUG_" + text[4:], "sui_" + text[4:], "sug_" + strings.Repeat("+", 43), strings.Repeat("\n", 47), "sug_" + strings.Repeat("\n", 43)}
	for _, c := range base64URL {
		if other := last + string(c); other != text {
			if parsed, err := ParseToken(other); err == nil && parsed == token {
				bad = append(bad, other)
			}
		}
	}
	for _, s := range bad {
		if _, err := ParseToken(s); !errors.Is(err, ErrBadToken) {
			t.Errorf("%q is taken for a token", s)
		}
	}
}

const base64URL = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"

func TestTokensAreHidden(t *testing.T) {
	_, token := Issue(demand(), holder, bound, TOTP, noon)
	secret := token.Text()[len(TokenPrefix):]
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q"} {
		for _, x := range []any{token, &token, struct{ Token Token }{token}} {
			if got := fmt.Sprintf(verb, x); strings.Contains(got, secret) {
				t.Errorf("%s shows the token", verb)
			}
		}
	}
}

func TestActions(t *testing.T) {
	for name, rule := range map[string]bool{
		"A": true, "step_up.manage": true, "a.b-c_D9": true, strings.Repeat("x", 64): true,
		"wire transfer": false, " ": false, "Überweisung/é": false, "a,b\"'<": false, "送金 👩‍💻": false, strings.Repeat("x", 65): false, strings.Repeat("送", 256): false,
	} {
		if a, err := NewAction(name); err != nil || a.String() != name || a.IsRuleName() != rule {
			t.Errorf("%q: %v, a rule's name: %v", name, err, a.IsRuleName())
		}
	}
	for _, name := range []string{"", strings.Repeat("x", 257), strings.Repeat("送", 257), "a\x00", "a\n", "a\u0085", "a\u202eb", "a\u2028", "\u200f", "\xff", "\ufffd"} {
		if _, err := NewAction(name); err == nil || strings.ContainsAny(err.Error(), "\n\u202e") {
			t.Errorf("%q: %v", name, err)
		}
	}
	// Nothing is folded, trimmed or normalized.
	for _, pair := range [][2]string{{"A", "a"}, {"é", "e\u0301"}, {"a", "a "}, {"ﬁ", "fi"}} {
		if MustAction(pair[0]).Digest() == MustAction(pair[1]).Digest() {
			t.Errorf("%q and %q are one", pair[0], pair[1])
		}
	}
	if (Action{}).IsRuleName() {
		t.Error("no action type is a rule's")
	}
}

func TestNames(t *testing.T) {
	for _, u := range []Use{OneTimeUse, TimeBased} {
		if got, err := ParseUse(u.String()); err != nil || got != u {
			t.Error(u, err)
		}
	}
	if _, err := ParseUse(Use(0).String()); err == nil {
		t.Error("NONE is taken")
	}
	for _, m := range AllMethods() {
		if got, err := ParseMethod(m.String()); err != nil || got != m {
			t.Error(m, err)
		}
	}
	for m, want := range map[Methods]string{TOTP: "otp", RecoveryCode: "otp", SMS: "sms", BoundPasskey: "hwk user", SyncedPasskey: "swk user", Passkey: "", 0: ""} {
		if got := m.AMR(); got != want {
			t.Errorf("%v: %q", m, got)
		}
	}
	for _, m := range []Methods{BoundPasskey, SyncedPasskey} {
		if m.String() != "passkey" || !Passkey.Accepts(m) || (TOTP | SMS).Accepts(m) {
			t.Error(m)
		}
	}
	if _, err := ParseMethod("totp recovery_code"); err == nil {
		t.Error("two methods are taken for one")
	}
	if got := (TOTP | RecoveryCode).String(); got != "totp recovery_code" {
		t.Error(got)
	}
}

// A session token is a token of its own: the same bytes with the other prefix are
// another one.
func TestSessionTokensHaveAPrefixOfTheirOwn(t *testing.T) {
	d := demand()
	d.SessionToken = true
	_, token := Issue(d, holder, Binding{}, TOTP, noon)
	text := token.Text()
	if parsed, err := ParseToken(text); err != nil || parsed != token || parsed.ID() != token.ID() || !strings.HasPrefix(text, "sess_") || len(text) != 48 {
		t.Fatal(text, err)
	}
	other, err := ParseToken(TokenPrefix + text[len(SessionPrefix):])
	if err != nil || other.ID() == token.ID() || other == token {
		t.Error("one token has two spellings")
	}
	for _, bad := range []string{"sess_", "SESS_" + text[5:], text + "A", text[:47], "sess" + text[4:40], "sug__" + text[5:], "sess_" + text[5:47] + "\n"} {
		if _, err := ParseToken(bad); !errors.Is(err, ErrBadToken) {
			t.Errorf("%q is taken for a token", bad)
		}
	}
	if token.String() != "sess_…" || fmt.Sprintf("%#v", token) != "sess_…" {
		t.Error(token)
	}
}

// Whatever is taken for a token is what Text gives for it.
func FuzzParseToken(f *testing.F) {
	_, token := Issue(demand(), holder, bound, TOTP, noon)
	f.Add(token.Text())
	f.Add("sug_" + strings.Repeat("\r\n", 21) + "A")
	f.Add(SessionPrefix + token.Text()[len(TokenPrefix):])
	f.Add(base64.StdEncoding.EncodeToString(make([]byte, 32)))
	f.Fuzz(func(t *testing.T, s string) {
		parsed, err := ParseToken(s)
		if err == nil && parsed.Text() != s {
			t.Fatalf("%q is a second spelling of a token", s)
		}
		if err != nil && !errors.Is(err, ErrBadToken) {
			t.Fatal(err)
		}
	})
}

func BenchmarkCheck(b *testing.B) {
	d, bind := demand(), bound
	g, _ := Issue(d, holder, bind, TOTP, noon)
	b.ReportAllocs()
	for b.Loop() {
		if err := g.Check(&d, &holder, &bind, noon); err != nil {
			b.Fatal(err)
		}
	}
}
