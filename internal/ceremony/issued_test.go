package ceremony_test

import (
	"testing"
	"time"

	"github.com/stepup-gateway/caddy-stepup/grants"
	"github.com/stepup-gateway/caddy-stepup/internal/ceremony"
	"github.com/stepup-gateway/caddy-stepup/internal/ceremony/ceremonytest"
	"github.com/stepup-gateway/caddy-stepup/internal/invite"
)

// issued is one of each that can be used once, or ends, as it was issued before a copy of
// the database was made.
type issued struct {
	*ceremonytest.World
	alice, dora   *ceremonytest.Person
	once, lasting grants.Demand

	spent, kept  ceremony.Won
	open, texted ceremony.Challenge
	text, invite string
	pending      ceremony.Enrollment
}

func issue(t *testing.T, w *ceremonytest.World) *issued {
	t.Helper()
	const number = "+49 151 23456789"
	x := &issued{
		World: w, alice: w.Enroll("alice"), dora: w.EnrollNumber(w.Stranger("dora"), number, ceremony.Leave{}),
		once: ceremonytest.Demand("PAY", grants.OneTimeUse, 2*time.Hour), lasting: ceremonytest.Demand("SEE", grants.TimeBased, 2*time.Hour),
	}
	x.spent, x.kept = w.Win(x.alice, x.once), w.Win(x.alice, x.lasting)
	x.open = w.Begin(x.alice.Principal, ceremonytest.Demand("OTHER", grants.TimeBased, time.Hour))
	x.texted = w.Begin(x.dora.Principal, x.lasting)
	if _, err := w.SendCode(t.Context(), x.dora.Principal, x.texted.ID, ""); err != nil {
		t.Fatal(err)
	}
	texts := w.Texts(number)
	x.text = texts[len(texts)-1].Code()
	code, hash := invite.New()
	if err := w.Invite(t.Context(), w.Stranger("bob").Subject, hash, w.Clock.Now().Add(time.Hour)); err != nil {
		t.Fatal(err)
	}
	pending, err := w.EnrollApp(t.Context(), w.Stranger("carol"), "app", ceremony.Leave{})
	if err != nil {
		t.Fatal(err)
	}
	x.invite, x.pending = code, pending
	return x
}

// spend spends the one-time grant.
func (x *issued) spend(t *testing.T) {
	t.Helper()
	pass, err := x.Check(t.Context(), &x.alice.Principal, &x.once, [32]byte{}, x.spent.Token.Text())
	if err == nil {
		_, err = x.Spend(t.Context(), &x.alice.Principal, &pass)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// use uses each, and returns what came of it.
func (x *issued) use(t *testing.T) map[string]error {
	t.Helper()
	ctx := t.Context()
	_, one := x.Check(ctx, &x.alice.Principal, &x.once, [32]byte{}, x.spent.Token.Text())
	_, two := x.Check(ctx, &x.alice.Principal, &x.lasting, [32]byte{}, x.kept.Token.Text())
	_, three := x.Describe(ctx, x.alice.Principal, x.open.ID)
	x.Configure(func(s *ceremony.Settings) { s.Enrollment = ceremony.ByInvite })
	_, four := x.EnrollApp(ctx, x.Stranger("bob"), "app", ceremony.Leave{Invite: x.invite})
	x.Configure(func(s *ceremony.Settings) { s.Enrollment = ceremony.FirstUse })
	_, five := x.Confirm(ctx, x.Stranger("carol"), x.pending.ID, x.Code(x.pending.Key), "")
	_, six := x.Verify(ctx, x.dora.Principal, x.texted.ID, ceremony.Answer{Method: grants.SMS, Code: x.text})
	return map[string]error{"one-time grant": one, "time-based grant": two, "challenge": three, "invite": four, "enrolment": five, "code by SMS": six}
}
