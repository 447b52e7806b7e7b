package records_test

import (
	"bytes"
	"encoding/base32"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stepup-gateway/caddy-stepup/grants"
	"github.com/stepup-gateway/caddy-stepup/internal/records"
	"github.com/stepup-gateway/caddy-stepup/internal/seal"
	"github.com/stepup-gateway/caddy-stepup/store"
)

// fill puts one record of each secret kind into db, and gives what must not be
// found in its files.
func fill(t *testing.T, db *records.DB, user, secret string) (grants.Token, [][]byte) {
	t.Helper()
	h := db.Holder(subject(user))
	d := grants.Demand{Action: grants.MustAction("WITHDRAW_FUNDS"), Use: grants.TimeBased, TTL: time.Hour}
	g, token := grants.Issue(d, h, grants.Binding{}, grants.TOTP, noon)
	mac := db.MAC("recovery code", h[:], []byte("abcde-fghij"))
	account := records.Account{Tenant: "staff", User: user, State: records.StateEnrolled, Authenticators: []records.Authenticator{
		{ID: "x", Type: "totp", Label: "Pixel of " + user, TOTP: &records.TOTP{Secret: []byte(secret)}}},
		RecoveryCodes: []records.RecoveryCode{{Hash: mac[:]}}}
	apply(t, db,
		must[store.Op](t)(db.Accounts.Put(h, nil, account, 0, time.Time{})),
		must[store.Op](t)(db.PutGrant(token.ID(), g, d.Action, "x")),
		must[store.Op](t)(db.Challenges.Put(h, []byte("id"), records.Challenge{Action: "WITHDRAW_FUNDS", Site: "https://intranet.test", ReturnTo: "/transfer?to=mallory"}, 0, time.Time{})),
		must[store.Op](t)(db.Pendings.Put(h, []byte("id"), records.Pending{Label: "tablet", TOTP: records.TOTP{Secret: []byte("pending " + secret)}}, 0, time.Time{})),
	)
	return token, [][]byte{[]byte(user), []byte(secret), []byte("pending " + secret), []byte("Pixel of"), []byte("abcde-fghij"), []byte("abcdefghij"),
		[]byte(token.Text()), []byte(token.Text()[4:]), []byte("WITHDRAW_FUNDS"), []byte("intranet.test"), []byte("/transfer"), mac[:]}
}

// Who steals the data directory finds no name, secret, code or token in it, in
// any of the usual spellings.
func TestS16StolenFilesTellNothing(t *testing.T) {
	dir, key := t.TempDir(), seal.GenerateKey()
	s := openStore(t, dir)
	if err := records.Create(t.Context(), s, key); err != nil {
		t.Fatal(err)
	}
	db := must[*records.DB](t)(records.Open(t.Context(), s, key))
	_, hidden := fill(t, db, "alice.liddell", "S3cr3tOfTwentyBytes!")
	h := db.Holder(subject("alice.liddell"))
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	var files int
	var seen bool
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		files++
		data, err := os.ReadFile(path)
		seen = seen || bytes.Contains(data, h[:])
		for _, want := range hidden {
			for _, as := range spellings(want) {
				if bytes.Contains(data, as) {
					t.Errorf("%s holds %q", filepath.Base(path), as)
				}
			}
		}
		for _, secret := range [][]byte{[]byte(key.Text()), []byte(key.Text()[7:40])} {
			if bytes.Contains(data, secret) {
				t.Errorf("%s holds the key", filepath.Base(path))
			}
		}
		return err
	})
	if err != nil || files == 0 || !seen {
		t.Fatal("the files were not searched:", files, seen, err)
	}
}

func spellings(b []byte) [][]byte {
	return [][]byte{b, []byte(hex.EncodeToString(b)), []byte(base64.StdEncoding.EncodeToString(b)), []byte(base64.RawURLEncoding.EncodeToString(b)),
		[]byte(base32.StdEncoding.WithPadding(base32.NoPadding).EncodeToString(b))}
}

// Who can write to the database, but has no key, can neither move rows between
// subjects or ids, nor alter one, nor make one: the record is unreadable then,
// never absent or another's.
func TestS16SwappedAndAlteredRowsAreRefused(t *testing.T) {
	db, s, _ := create(t)
	aliceToken, _ := fill(t, db, "alice", "secret of alice     ")
	bobToken, _ := fill(t, db, "bob", "secret of bob       ")
	alice, bob := db.Holder(subject("alice")), db.Holder(subject("bob"))
	aliceID, bobID := aliceToken.ID(), bobToken.ID()
	key := func(prefix string, h grants.Holder, id []byte) []byte {
		return append(append([]byte(prefix), h[:]...), id...)
	}
	value := func(k []byte) []byte { return must[store.Entry](t)(s.Get(t.Context(), k)).Value }

	read := map[string]func() error{
		"account": func() error { _, err := db.Accounts.Get(t.Context(), alice, nil); return err },
		"grant": func() error {
			id := aliceID
			_, err := db.Grant(t.Context(), &alice, &id, noon)
			return err
		},
		"challenge": func() error { _, err := db.Challenges.Get(t.Context(), alice, []byte("id")); return err },
		"pending":   func() error { _, err := db.Pendings.Get(t.Context(), alice, []byte("id")); return err },
	}
	for _, row := range []struct {
		kind       string
		mine, from []byte
	}{
		{"account", key("s/", alice, nil), key("s/", bob, nil)},
		{"grant", key("g/", alice, aliceID[:]), key("g/", bob, bobID[:])},
		{"challenge", key("c/", alice, []byte("id")), key("c/", bob, []byte("id"))},
		{"pending", key("p/", alice, []byte("id")), key("p/", bob, []byte("id"))},
	} {
		original, stranger := value(row.mine), value(row.from)
		bad := map[string][]byte{"another subject's": stranger, "empty": {}, "shortened": original[:len(original)-1]}
		for _, at := range []int{0, 1, 5, 29, len(original) / 2, len(original) - 1} {
			altered := bytes.Clone(original)
			altered[at] ^= 0x40
			bad["altered"] = altered
			for name, v := range bad {
				apply(t, db, store.Op{Key: row.mine, Value: v})
				if err := read[row.kind](); !errors.Is(err, records.ErrCorrupt) || errors.Is(err, records.ErrNotFound) {
					t.Errorf("%s, %s at %d: %v", row.kind, name, at, err)
				}
			}
		}
		apply(t, db, store.Op{Key: row.mine, Value: original})
		if err := read[row.kind](); err != nil {
			t.Errorf("%s put back: %v", row.kind, err)
		}
	}
}
