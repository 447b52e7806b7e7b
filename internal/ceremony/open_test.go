package ceremony_test

import (
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/stepup-gateway/caddy-stepup/grants"
	"github.com/stepup-gateway/caddy-stepup/internal/ceremony"
	"github.com/stepup-gateway/caddy-stepup/internal/ceremony/ceremonytest"
)

// Seven windows ask for one action, and the person answers in all of them with
// the code that they have: one answer passes, and the others are no guesses.
func TestS05AnswersToWhatIsOpenAreNoGuesses(t *testing.T) {
	w := ceremonytest.New(t)
	who := w.Enroll("alice")
	elsewhere := who.Principal
	elsewhere.Site = "https://other.test"
	reports := ceremonytest.Demand("VIEW", grants.TimeBased, 10*time.Minute)
	begin := func(d grants.Demand, to string) string {
		c, err := w.Service.Begin(t.Context(), who.Principal, ceremony.Ask{Demand: d, Site: ceremonytest.Site, ReturnTo: to})
		if err != nil {
			t.Fatal(err)
		}
		return c.ID
	}
	left := func() int {
		d, err := w.Describe(t.Context(), who.Principal, begin(ceremonytest.Demand("OTHER", grants.OneTimeUse, time.Minute), "/other"))
		if err != nil {
			t.Fatal(err)
		}
		return d.AttemptsLeft
	}
	w.Win(who, ceremonytest.Demand("FIRST", grants.OneTimeUse, time.Minute)) // the browser is known from here on
	for round := range 5 {
		w.Rest(who)
		before := left()
		var ids []string
		for i := range 4 {
			ids = append(ids, begin(reports, "/tab/"+string(rune('a'+i))))
		}
		answer := w.Answer(who, ceremony.Challenge{})
		var mu sync.Mutex
		var all sync.WaitGroup
		passed, open := 0, 0
		for _, id := range ids {
			all.Go(func() {
				_, err := w.Verify(t.Context(), who.Principal, id, answer)
				mu.Lock()
				defer mu.Unlock()
				switch {
				case err == nil:
					passed++
				case errors.Is(err, ceremony.ErrOpen):
					open++
				default:
					t.Errorf("round %d: %v", round, err)
				}
			})
		}
		all.Wait()
		if passed != 1 || open != 3 {
			t.Errorf("round %d: %d passed, %d open already", round, passed, open)
		}
		// Also later, and whatever is answered.
		if _, err := w.Verify(t.Context(), who.Principal, ids[0], ceremony.Answer{Method: grants.TOTP, Code: "000000"}); !errors.Is(err, ceremony.ErrOpen) && !errors.Is(err, ceremony.ErrNotFound) {
			t.Errorf("round %d: %v", round, err)
		}
		if after := left(); after != before {
			t.Errorf("round %d: %d attempts left, %d before", round, after, before)
		}
		w.Clock.Advance(11 * time.Minute)
	}
}

// What one proof does not open stays closed: other actions, stricter demands,
// one-time grants, other browsers and sites.
func TestS02ProofOpensNoOtherChallenge(t *testing.T) {
	w := ceremonytest.New(t)
	who := w.Enroll("alice")
	other := who.Principal
	other.Browser[0] ^= 1
	elsewhere := who.Principal
	elsewhere.Site = "https://other.test"
	reports := ceremonytest.Demand("VIEW", grants.TimeBased, 10*time.Minute)
	begin := func(p ceremony.Principal, ask ceremony.Ask) ceremony.Challenge {
		t.Helper()
		if ask.Site == "" {
			ask.Site = ceremonytest.Site
		}
		c, err := w.Service.Begin(t.Context(), p, ask)
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	type closed struct {
		p  ceremony.Principal
		id string
	}
	all := map[string]closed{
		"another action":  {who.Principal, begin(who.Principal, ceremony.Ask{Demand: ceremonytest.Demand("EDIT", grants.TimeBased, 10*time.Minute)}).ID},
		"another method":  {who.Principal, begin(who.Principal, ceremony.Ask{Demand: ceremonytest.Demand("VIEW", grants.TimeBased, 10*time.Minute, grants.RecoveryCode)}).ID},
		"a one-time use":  {who.Principal, begin(who.Principal, ceremony.Ask{Demand: ceremonytest.Demand("VIEW", grants.OneTimeUse, time.Minute)}).ID},
		"a shown request": {who.Principal, begin(who.Principal, ceremony.Ask{Demand: reports, Request: [32]byte{1}}).ID},
		"another site":    {elsewhere, begin(elsewhere, ceremony.Ask{Demand: reports, Site: elsewhere.Site}).ID},
		"another browser": {other, begin(other, ceremony.Ask{Demand: reports}).ID},
	}
	w.Rest(who)
	w.Pass(who, begin(who.Principal, ceremony.Ask{Demand: reports, ReturnTo: "/mine"}))
	for name, c := range all {
		if d, err := w.Describe(t.Context(), c.p, c.id); err != nil || !d.OpenUntil.IsZero() {
			t.Errorf("%s: open until %v, %v", name, d.OpenUntil, err)
		}
	}
}
