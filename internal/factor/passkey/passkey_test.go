package passkey_test

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"reflect"
	"strings"
	"testing"

	"github.com/descope/virtualwebauthn"

	"github.com/stepup-gateway/caddy-stepup/grants"
	"github.com/stepup-gateway/caddy-stepup/internal/ceremony"
	"github.com/stepup-gateway/caddy-stepup/internal/ceremony/ceremonytest"
	"github.com/stepup-gateway/caddy-stepup/internal/factor/passkey"
	"github.com/stepup-gateway/caddy-stepup/internal/records"
)

const (
	site       = ceremonytest.Site
	challenge  = "challenge-1"
	enrollment = "enrollment-1"
)

// bed is a factor with a database under it.
type bed struct {
	passkey.Factor
	t  *testing.T
	db *records.DB
}

func newBed(t *testing.T, f passkey.Factor) *bed {
	t.Helper()
	return &bed{Factor: f, t: t, db: ceremonytest.New(t).DB}
}

func person(name string) *records.Account {
	return &records.Account{Tenant: ceremonytest.Tenant, User: name, State: records.StateEnrolled}
}

// creation and request are the options for the enrollment and the challenge above.
func (b *bed) creation(a *records.Account) json.RawMessage {
	b.t.Helper()
	options, err := create(b.Factor, b.db, a, enrollment, site)
	if err != nil {
		b.t.Fatal(err)
	}
	return options
}

func (b *bed) request(a *records.Account) json.RawMessage {
	b.t.Helper()
	options, err := ask(b.Factor, b.db, a, challenge, site)
	if err != nil {
		b.t.Fatal(err)
	}
	return options
}

// enroll gives the account the device's passkey.
func (b *bed) enroll(a *records.Account, d *ceremonytest.Device) *records.Passkey {
	b.t.Helper()
	key, err := register(b.Factor, b.db, a, enrollment, site, d.Create(b.creation(a)))
	if err != nil {
		b.t.Fatal(err)
	}
	a.Authenticators = append(a.Authenticators, records.Authenticator{
		ID: fmt.Sprint(a.User, len(a.Authenticators)), Type: "passkey", Passkey: &key,
	})
	return &key
}

func (b *bed) match(a *records.Account, answer string) (ceremony.Proof, error) {
	return b.Match(b.db, a, ceremony.Attempt{Challenge: challenge, Site: site, Answer: answer})
}

// refuses holds that the answer is refused by the one error that tells nothing,
// and that the account is as before.
func (b *bed) refuses(name string, a *records.Account, try ceremony.Attempt) {
	b.t.Helper()
	before := copyOf(b.t, a)
	if proof, err := b.Match(b.db, a, try); err != ceremony.ErrInvalidCode || proof != (ceremony.Proof{}) {
		b.t.Errorf("%s: %+v, %v", name, proof, err)
	}
	if !reflect.DeepEqual(a, before) {
		b.t.Errorf("%s: the account has changed", name)
	}
}

func copyOf(t *testing.T, a *records.Account) *records.Account {
	t.Helper()
	raw, err := json.Marshal(a)
	c := new(records.Account)
	if err != nil || json.Unmarshal(raw, c) != nil {
		t.Fatal(err)
	}
	return c
}

var kinds = []virtualwebauthn.KeyType{virtualwebauthn.KeyTypeEC2, virtualwebauthn.KeyTypeRSA}

func TestPasskeyProves(t *testing.T) {
	b := newBed(t, passkey.Factor{})
	a := person("alice")
	if b.Ready(a, site) {
		t.Error("ready without a passkey")
	}
	var devices []*ceremonytest.Device
	for _, kind := range kinds {
		for _, synced := range []bool{false, true} {
			d := ceremonytest.NewDevice(t, kind)
			d.Options.BackupEligible, d.Options.BackupState = synced, synced
			key := b.enroll(a, d)
			if key.Synced != synced || !key.UserVerified || key.RelyingParty != "app.test" || !bytes.Equal(key.AAGUID, d.Aaguid[:]) {
				t.Errorf("%s: %+v", kind, key)
			}
			devices = append(devices, d)
		}
	}
	// Several of one person: each proves, and tells which it was.
	for round := range 2 {
		for i, d := range devices {
			proof, err := b.match(a, d.Answer(b.request(a)))
			method := []grants.Methods{grants.BoundPasskey, grants.SyncedPasskey}[i%2]
			if err != nil || proof != (ceremony.Proof{Method: method, Authenticator: a.Authenticators[i].ID}) {
				t.Error(i, proof, err)
			}
			if got := a.Authenticators[i].Passkey; got.SignCount != uint32(round+1) || got.Suspect {
				t.Errorf("%d: %+v", i, got)
			}
		}
	}
	if !b.Ready(a, site) || b.Ready(a, "https://other.test") || b.Ready(a, "") {
		t.Error("ready")
	}
	// A passkey that cannot be discovered keeps no user handle, and gives none.
	devices[0].Options.UserHandle = nil
	if _, err := b.match(a, devices[0].Answer(b.request(a))); err != nil {
		t.Error("without a user handle:", err)
	}
}

func TestPasskeyOfAnotherOrigin(t *testing.T) {
	b := newBed(t, passkey.Factor{})
	a := person("alice")
	d := ceremonytest.NewDevice(t, kinds[0])
	b.enroll(a, d)
	other := ceremonytest.NewDevice(t, kinds[0])
	for _, origin := range []string{
		"", "null", "https://evil.test", "https://app.test.evil.test", "https://sub.app.test", "http://app.test", "https://app.test:8443", "https://app.test:443",
		"https://app.test/", "https://APP.test", "HTTPS://app.test", "https://app.test.", "https://app.test@evil.test", "android:apk-key-hash:app.test", " https://app.test",
	} {
		d.Origin, other.Origin = origin, origin
		b.refuses(origin, a, ceremony.Attempt{Challenge: challenge, Site: site, Answer: d.Answer(b.request(a))})
		if _, err := register(b.Factor, b.db, person("bob"), enrollment, site, other.Create(b.creation(person("bob")))); err != ceremony.ErrInvalidCode {
			t.Errorf("registration at %q: %v", origin, err)
		}
	}
	d.Origin = site
	if _, err := b.match(a, d.Answer(b.request(a))); err != nil {
		t.Error("at its own:", err)
	}
}

// said is an edit of the client data.
func said(key string, value any) func(*ceremonytest.Said) {
	return func(s *ceremonytest.Said) { s.Client[key] = value }
}

// flag is an edit of the authenticator data's flags.
func flag(on, off byte) func(*ceremonytest.Said) {
	return func(s *ceremonytest.Said) { s.AuthenticatorData[32] = s.AuthenticatorData[32]&^off | on }
}

// Each answer is signed by the right key; only what it says is not right.
func TestPasskeyAnswersThatDoNotFit(t *testing.T) {
	b := newBed(t, passkey.Factor{})
	a := person("alice")
	d := ceremonytest.NewDevice(t, kinds[0])
	b.enroll(a, d)
	random := base64.RawURLEncoding.EncodeToString(make([]byte, 32))
	for name, edit := range map[string]func(*ceremonytest.Said){
		"wrong challenge":               said("challenge", random),
		"no challenge":                  said("challenge", ""),
		"padded challenge":              func(s *ceremonytest.Said) { s.Client["challenge"] = s.Client["challenge"].(string) + "=" },
		"challenge in another spelling": func(s *ceremonytest.Said) { s.Client["challenge"] = s.Client["challenge"].(string) + "\n" },
		"of a registration":             said("type", "webauthn.create"),
		"of a payment":                  said("type", "payment.get"),
		"in a frame":                    said("crossOrigin", true),
		"in a frame of":                 said("topOrigin", "https://evil.test"),
		"in a frame of our own":         said("topOrigin", site),
		"wrong rpId":                    func(s *ceremonytest.Said) { s.AuthenticatorData[0]++ },
		"nobody was there":              flag(0, 1),
		"no user verification":          flag(0, 4),
		"eligible for backup now":       flag(8, 0),
		"backed up":                     flag(8|16, 0),
		"backed up but not eligible":    flag(16, 0),
		"too short":                     func(s *ceremonytest.Said) { s.AuthenticatorData = s.AuthenticatorData[:36] },
		"too long":                      func(s *ceremonytest.Said) { s.AuthenticatorData = append(s.AuthenticatorData, 0) },
		"extensions that are not there": flag(128, 0),
		"a key that is not there":       flag(64, 0),
	} {
		answer := d.Forge(d.Answer(b.request(a)), edit)
		b.refuses(name, a, ceremony.Attempt{Challenge: challenge, Site: site, Answer: answer})
	}
	good := d.Answer(b.request(a))
	for name, try := range map[string]ceremony.Attempt{
		"at another challenge": {Challenge: "challenge-2", Site: site, Answer: good},
		"at no challenge":      {Site: site, Answer: good},
		"at another site":      {Challenge: challenge, Site: "https://other.test", Answer: good},
		"over the API":         {Challenge: challenge, Answer: good},
		"empty":                {Challenge: challenge, Site: site},
		"twice in one":         {Challenge: challenge, Site: site, Answer: good + good},
		"a registration":       {Challenge: challenge, Site: site, Answer: ceremonytest.NewDevice(t, kinds[0]).Create(b.creation(a))},
	} {
		b.refuses(name, a, try)
	}
	// A challenge without an id would be the same each time.
	options, err := ask(b.Factor, b.db, a, "", site)
	if err != nil {
		t.Fatal(err)
	}
	b.refuses("to no challenge, at none", a, ceremony.Attempt{Site: site, Answer: d.Answer(options)})
	if _, err := b.match(a, d.Answer(b.request(a))); err != nil {
		t.Error("nothing changed:", err)
	}
	if _, err := b.match(a, d.Forge(d.Answer(b.request(a)), func(*ceremonytest.Said) {})); err != nil {
		t.Error("forging without a change:", err)
	}
}

// What was signed, and by whom.
func TestPasskeySignature(t *testing.T) {
	b := newBed(t, passkey.Factor{})
	for _, kind := range kinds {
		a := person("alice" + string(kind))
		d, other := ceremonytest.NewDevice(t, kind), ceremonytest.NewDevice(t, kind)
		b.enroll(a, d)
		good := d.Answer(b.request(a))
		for field := range map[string]bool{"signature": true, "authenticatorData": true, "clientDataJSON": true} {
			var whole struct {
				ID       string            `json:"id"`
				RawID    string            `json:"rawId"`
				Type     string            `json:"type"`
				Response map[string]string `json:"response"`
			}
			if err := json.Unmarshal([]byte(good), &whole); err != nil {
				t.Fatal(err)
			}
			raw, err := base64.RawURLEncoding.DecodeString(whole.Response[field])
			if err != nil {
				t.Fatal(err)
			}
			switch field {
			case "clientDataJSON": // still says the same
				raw = append(raw, ' ')
			case "authenticatorData": // the counter
				raw[36]++
			default:
				raw[len(raw)-1]++
			}
			whole.Response[field] = base64.RawURLEncoding.EncodeToString(raw)
			changed, err := json.Marshal(whole)
			if err != nil {
				t.Fatal(err)
			}
			b.refuses(string(kind)+" "+field, a, ceremony.Attempt{Challenge: challenge, Site: site, Answer: string(changed)})
		}
		other.Key.ID = d.Key.ID
		b.refuses("signed by another key", a, ceremony.Attempt{Challenge: challenge, Site: site, Answer: other.Answer(b.request(a))})
		if _, err := b.match(a, good); err != nil {
			t.Error(kind, err)
		}
	}
}

func TestPasskeyOfAnotherUser(t *testing.T) {
	b := newBed(t, passkey.Factor{})
	alice, bob := person("alice"), person("bob")
	mine, his := ceremonytest.NewDevice(t, kinds[0]), ceremonytest.NewDevice(t, kinds[0])
	b.enroll(alice, mine)
	b.enroll(bob, his)
	try := func(answer string) ceremony.Attempt {
		return ceremony.Attempt{Challenge: challenge, Site: site, Answer: answer}
	}
	b.refuses("another's passkey", bob, try(mine.Answer(b.request(bob))))
	mine.Options.UserHandle = nil
	b.refuses("another's passkey, without a user handle", bob, try(mine.Answer(b.request(bob))))
	handle := his.Options.UserHandle
	his.Options.UserHandle = []byte("somebody else")
	b.refuses("own passkey, another's user handle", bob, try(his.Answer(b.request(bob))))
	his.Options.UserHandle = handle
	// An answer to the challenge of one person is none to that of another, though
	// both have the id (they never do).
	b.refuses("own passkey, another's challenge", bob, try(his.Answer(b.request(alice))))

	// Who enrolls another's credential id in their own account gets nothing of it.
	mallory, copied := person("mallory"), ceremonytest.NewDevice(t, kinds[0])
	copied.Key.ID = mine.Key.ID
	b.enroll(mallory, copied)
	b.refuses("the copied id at the other's account", alice, try(copied.Answer(b.request(alice))))
	mine.Options.UserHandle = nil
	b.refuses("the other's key at the copied id", mallory, try(mine.Answer(b.request(mallory))))
	if _, err := b.match(alice, mine.Answer(b.request(alice))); err != nil {
		t.Error(err)
	}
}

func TestPasskeyWithClonedCounter(t *testing.T) {
	b := newBed(t, passkey.Factor{})
	for _, tt := range []struct {
		stored, given uint32
		cloned        bool
	}{
		{0, 0, false}, {0, 1, false}, {1, 2, false}, {7, 1 << 31, false}, {1<<32 - 2, 1<<32 - 1, false},
		{1, 0, true}, {1, 1, true}, {5, 4, true}, {1<<32 - 1, 0, true}, {1<<32 - 1, 1<<32 - 1, true},
	} {
		a := person(fmt.Sprint(tt))
		d := ceremonytest.NewDevice(t, kinds[0])
		d.Key.Counter, d.Step = tt.stored, 0
		b.enroll(a, d)
		key := a.Authenticators[0].Passkey
		if key.SignCount != tt.stored {
			t.Fatal(key.SignCount)
		}
		d.Key.Counter = tt.given
		proof, err := b.match(a, d.Answer(b.request(a)))
		switch {
		case tt.cloned && (err != ceremony.ErrCloned || proof != (ceremony.Proof{}) || !key.Suspect || key.SignCount != tt.stored):
			t.Errorf("%+v: %+v, %v, %+v", tt, proof, err, key)
		case !tt.cloned && (err != nil || key.Suspect || key.SignCount != tt.given):
			t.Errorf("%+v: %v, %+v", tt, err, key)
		}
		if !tt.cloned {
			continue
		}
		// The suspicion stays, and anyone who is ahead goes on.
		d.Key.Counter = tt.stored + 1
		if d.Key.Counter == 0 {
			continue
		}
		if _, err := b.match(a, d.Answer(b.request(a))); err != nil || !key.Suspect || key.SignCount != tt.stored+1 {
			t.Errorf("%+v: afterwards %v, %+v", tt, err, key)
		}
	}
	// Who has no key cannot raise a suspicion.
	a, d := person("alice"), ceremonytest.NewDevice(t, kinds[0])
	d.Key.Counter = 9
	b.enroll(a, d)
	thief := ceremonytest.NewDevice(t, kinds[0])
	thief.Key.ID, thief.Options.UserHandle = d.Key.ID, d.Options.UserHandle
	b.refuses("counter by another key", a, ceremony.Attempt{Challenge: challenge, Site: site, Answer: thief.Answer(b.request(a))})
}

func TestPasskeyUserVerification(t *testing.T) {
	for word, required := range map[string]bool{"": true, "required": true, "preferred": false, "discouraged": false, "Preferred": true, "none": true} {
		b := newBed(t, passkey.Factor{UserVerification: word})
		a, d := person("alice"), ceremonytest.NewDevice(t, kinds[0])
		d.Options.UserNotVerified = true
		key, err := register(b.Factor, b.db, a, enrollment, site, d.Create(b.creation(a)))
		if required != (err == ceremony.ErrInvalidCode) || key.UserVerified {
			t.Errorf("%q: registered %+v, %v", word, key, err)
		}
		d.Options.UserNotVerified = false
		b.enroll(a, d)
		d.Options.UserNotVerified = true
		if _, err := b.match(a, d.Answer(b.request(a))); required != (err == ceremony.ErrInvalidCode) || !required && err != nil {
			t.Errorf("%q: %v", word, err)
		}
		asked := word
		if required {
			asked = "required"
		}
		for _, options := range []json.RawMessage{b.request(a), b.creation(a)} {
			if !strings.Contains(string(options), fmt.Sprintf(`"userVerification":%q`, asked)) {
				t.Errorf("%q: %s", word, options)
			}
		}
		d.Options.UserNotPresent = true
		b.refuses(word+": nobody there", a, ceremony.Attempt{Challenge: challenge, Site: site, Answer: d.Answer(b.request(a))})
	}
}

func TestPasskeyRelyingParty(t *testing.T) {
	for _, tt := range []struct {
		configured, site, id string // id "": the site has no passkeys
	}{
		{"", "https://app.test", "app.test"},
		{"", "https://app.test:8443", "app.test"},
		{"", "http://app.test", ""},
		{"", "http://localhost:8080", "localhost"},
		{"", "http://app.localhost", "app.localhost"},
		{"", "http://notlocalhost", ""},
		{"", "https://localhost", "localhost"},
		{"", "https://192.0.2.1", ""},
		{"", "https://[2001:db8::1]:443", ""},
		{"", "", ""},
		{"", "app.test", ""},
		{"", "https://", ""},
		{"", "https://:443", ""},
		{"", "https://[fe80::1%25eth0]", ""},
		{"", "https://app.test/", ""},
		{"", "https://app.test?x", ""},
		{"", "https://user@app.test", ""},
		{"", "https://app.test:x", ""},
		{"example.com", "https://example.com", "example.com"},
		{"example.com", "https://a.example.com", "example.com"},
		{"example.com", "https://a.b.example.com:444", "example.com"},
		{"example.com", "https://notexample.com", ""},
		{"example.com", "https://example.com.evil.test", ""},
		{"example.com", "https://com", ""},
		{"example.com", "http://example.com", ""},
		{"example.com", "", ""},
	} {
		b := newBed(t, passkey.Factor{RelyingParty: tt.configured})
		if b.Serves(tt.site) != (tt.id != "") {
			t.Errorf("%+v: serves %t", tt, b.Serves(tt.site))
		}
		options, err := create(b.Factor, b.db, person("alice"), enrollment, tt.site)
		if tt.id == "" {
			if err != ceremony.ErrMethodNotAccepted {
				t.Errorf("%+v: %v", tt, err)
			}
			if _, err := register(b.Factor, b.db, person("alice"), enrollment, tt.site, "{}"); err != ceremony.ErrInvalidCode {
				t.Errorf("%+v: %v", tt, err)
			}
			continue
		}
		if err != nil || !strings.Contains(string(options), fmt.Sprintf(`"id":%q`, tt.id)) {
			t.Errorf("%+v: %s, %v", tt, options, err)
		}
	}
}

// A passkey for a domain is good on all its sites; one that was made before the
// domain was configured is not taken for it.
func TestPasskeyOfAnotherRelyingParty(t *testing.T) {
	wide := newBed(t, passkey.Factor{RelyingParty: "app.test"})
	a, d := person("alice"), ceremonytest.NewDevice(t, kinds[0])
	wide.enroll(a, d)
	const sub = "https://pay.app.test"
	options, err := ask(wide.Factor, wide.db, a, challenge, sub)
	if err != nil {
		t.Fatal(err)
	}
	d.Origin = sub
	answer := d.Answer(options)
	wide.refuses("an answer of one site at another", a, ceremony.Attempt{Challenge: challenge, Site: site, Answer: answer})
	if _, err := wide.Match(wide.db, a, ceremony.Attempt{Challenge: challenge, Site: sub, Answer: answer}); err != nil {
		t.Error("below the domain:", err)
	}
	narrow := &bed{t: t, db: wide.db}
	if narrow.Ready(a, sub) || !narrow.Ready(a, site) {
		t.Error("ready")
	}
	if _, err := ask(narrow.Factor, narrow.db, a, challenge, sub); err != ceremony.ErrMethodNotAccepted {
		t.Error(err)
	}
}
