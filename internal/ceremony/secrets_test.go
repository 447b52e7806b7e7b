package ceremony_test

import (
	"bytes"
	"context"
	"encoding/base32"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stepup-gateway/caddy-stepup/grants"
	"github.com/stepup-gateway/caddy-stepup/internal/ceremony"
	"github.com/stepup-gateway/caddy-stepup/internal/ceremony/ceremonytest"
)

// A journey is all that a person and an operator can do, right and wrong, with
// the secrets that were used on the way and the errors that came of it.
type journey struct {
	w       *ceremonytest.World
	secrets map[string]string
	errs    []error
}

func (j *journey) secret(name, s string) string {
	j.secrets[fmt.Sprintf("%s %d", name, len(j.secrets))] = s
	return s
}

func (j *journey) note(err error) { j.errs = append(j.errs, err) }

func (j *journey) verify(p ceremony.Principal, challenge string, m grants.Methods, code string) ceremony.Won {
	won, err := j.w.Verify(context.Background(), p, challenge, ceremony.Answer{Method: m, Code: j.secret("code", code)})
	j.note(err)
	if err == nil {
		j.secret("token", won.Token.Text())
	}
	return won
}

func travel(t *testing.T) *journey {
	t.Helper()
	w := ceremonytest.New(t, policy(ceremony.ByInvite))
	j, ctx, p := &journey{w: w, secrets: make(map[string]string)}, t.Context(), w.Stranger("alice")
	code := j.secret("invite", invited(w, t, "alice"))
	_, err := w.EnrollApp(ctx, p, "", ceremony.Leave{Invite: j.secret("invite", "sui_not-an-invite-of-ours")})
	j.note(err)
	begun, err := w.EnrollApp(ctx, p, "Pixel", ceremony.Leave{Invite: code})
	j.note(err)
	j.secret("secret", begun.Key.Base32())
	j.secret("secret", string(begun.Key.Secret))
	j.secret("uri", begun.URI)
	c := w.Begin(p, withdraw)
	_, err = w.Confirm(ctx, p, begun.ID, j.secret("code", w.WrongCode(begun.Key)), c.ID)
	j.note(err)
	done, err := w.Confirm(ctx, p, begun.ID, j.secret("code", w.Code(begun.Key)), c.ID)
	j.note(err)
	j.secret("token", done.Won.Token.Text())
	for _, code := range done.RecoveryCodes {
		j.secret("recovery code", code)
	}
	alice := &ceremonytest.Person{Principal: p, Authenticator: done.Authenticator, Key: begun.Key, RecoveryCodes: done.RecoveryCodes}

	// Codes where ids belong, and ids where codes do.
	for _, misplaced := range []string{w.NextCode(alice.Key), alice.RecoveryCodes[7], done.Won.Token.Text()} {
		j.secret("misplaced", misplaced)
		j.verify(p, misplaced, grants.TOTP, w.WrongCode(alice.Key))
		_, err = w.Describe(ctx, p, misplaced)
		j.note(err)
		_, err = w.Pending(ctx, p, misplaced)
		j.note(err)
		_, err = w.Confirm(ctx, p, misplaced, misplaced, misplaced)
		j.note(err)
		_, err = w.Rename(ctx, p, misplaced, "x", misplaced)
		j.note(err)
		j.note(w.Remove(ctx, p, misplaced, misplaced))
		j.note(w.RevokeGrant(ctx, p, misplaced))
		_, err = w.BeginManage(ctx, p, ceremony.Operation(misplaced), "", "", "")
		j.note(err)
		_, err = w.Check(ctx, &p, &withdraw, [32]byte{}, misplaced)
		j.note(err)
		_, err = w.Verify(ctx, p, misplaced, ceremony.Answer{Method: grants.TOTP})
		j.note(err)
	}
	if err := w.Unlock(ctx, p.Subject); err != nil {
		t.Fatal(err)
	}
	won := j.verify(p, w.Begin(p, withdraw).ID, grants.TOTP, w.NextCode(alice.Key))
	pass, err := w.Check(ctx, &p, &withdraw, [32]byte{}, won.Token.Text())
	j.note(err)
	receipt, err := w.Spend(ctx, &p, &pass)
	j.note(err)
	_, err = w.Spend(ctx, &p, &pass)
	j.note(err)
	j.note(w.GiveBack(ctx, &p, receipt))
	j.verify(p, w.Begin(p, view).ID, grants.RecoveryCode, alice.RecoveryCodes[0])
	j.verify(p, w.Begin(p, view).ID, grants.RecoveryCode, alice.RecoveryCodes[0])
	more := w.EnrollAs(p, ceremony.Leave{Manage: j.secret("token", w.Manage(alice, ceremony.AddOp))})
	j.secret("secret", more.Key.Base32())
	codes, err := w.RenewRecoveryCodes(ctx, p, j.secret("token", w.Manage(alice, ceremony.RenewOp)))
	j.note(err)
	for _, code := range codes {
		j.secret("recovery code", code)
	}
	_, err = w.Rename(ctx, p, more.Authenticator.ID, "tablet", j.secret("token", w.Manage(alice, ceremony.RenameOp(more.Authenticator.ID))))
	j.note(err)
	w.Clock.Advance(25 * time.Hour)
	j.note(w.Remove(ctx, p, more.Authenticator.ID, j.secret("token", w.Manage(alice, ceremony.RemoveOp(more.Authenticator.ID)))))
	last := j.verify(p, w.Begin(p, view).ID, grants.TOTP, w.NextCode(alice.Key))
	j.note(w.RevokeGrant(ctx, p, ceremony.GrantID(last.ID)))
	j.verify(p, w.Begin(p, view).ID, grants.TOTP, w.NextCode(alice.Key))
	for range 7 {
		j.verify(p, w.Begin(p, view).ID, grants.TOTP, w.WrongCode(alice.Key))
	}
	_, err = w.Revoke(ctx, p.Subject, "")
	j.note(err)
	j.note(w.Unlock(ctx, p.Subject))
	return j
}

// What the audit log, the counters and whoever prints an error are told holds
// no secret, in any of the usual spellings.
func TestS13EventsAndErrorsHoldNoSecret(t *testing.T) {
	j := travel(t)
	j.note(j.w.Reset(t.Context(), j.w.Stranger("alice").Subject))
	var told strings.Builder
	kinds := make(map[string]bool)
	for _, e := range j.w.Events() {
		kinds[string(e.Kind)] = true
		e.Time = time.Time{} // digits that could be a code by chance
		fmt.Fprintf(&told, "%+v\n%#v\n", e, e)
	}
	for _, kind := range []string{"challenge", "verify", "grant", "enrol", "confirm", "rename", "remove", "recovery_codes", "revoke", "reset", "unlock", "invite"} {
		if !kinds[kind] {
			t.Errorf("the journey has no %s", kind)
		}
	}
	refused := 0
	for _, err := range j.errs {
		if err != nil {
			refused++
			fmt.Fprintf(&told, "%v\n%+v\n%#v\n", err, err, err)
		}
	}
	if refused < 20 || len(j.secrets) < 50 {
		t.Error("the journey is short:", refused, len(j.secrets))
	}
	for name, secret := range j.secrets {
		for _, as := range spellings(secret) {
			if strings.Contains(told.String(), as) {
				t.Errorf("%s is told: %q", name, as)
			}
		}
	}
}

func spellings(s string) []string {
	all := []string{s, url.QueryEscape(s), url.PathEscape(s), hex.EncodeToString([]byte(s)), strings.ToUpper(hex.EncodeToString([]byte(s))), fmt.Sprint([]byte(s)), fmt.Sprintf("%q", s)}
	if len(s) > 6 {
		all = append(all, base64.StdEncoding.EncodeToString([]byte(s)), base64.RawURLEncoding.EncodeToString([]byte(s)), base32.StdEncoding.EncodeToString([]byte(s)))
	}
	return all
}

// The whole journey's files, without the key, tell neither who, nor what for,
// nor any secret.
func TestS16FilesOfTheJourneyTellNothing(t *testing.T) {
	j := travel(t)
	if err := j.w.DB.Close(); err != nil {
		t.Fatal(err)
	}
	hidden := map[string]string{"user": "alice", "tenant": "\"" + ceremonytest.Tenant + "\"", "action": "WITHDRAW_FUNDS", "label": "Pixel", "site": "app.test"}
	for name, secret := range j.secrets {
		if len(secret) > 6 { // six digits are found in any file
			hidden[name] = secret
		}
	}
	searched := 0
	err := filepath.WalkDir(j.w.Dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		data, err := os.ReadFile(path)
		searched += len(data)
		for name, secret := range hidden {
			for _, as := range spellings(secret) {
				if bytes.Contains(data, []byte(as)) {
					t.Errorf("%s: %s is readable: %q", filepath.Base(path), name, as)
				}
			}
		}
		return err
	})
	if err != nil || searched < 10_000 {
		t.Fatal(searched, err)
	}
}
