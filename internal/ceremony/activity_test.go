package ceremony_test

import (
	"slices"
	"testing"
	"time"

	"github.com/stepup-gateway/caddy-stepup/grants"
	"github.com/stepup-gateway/caddy-stepup/internal/ceremony"
	"github.com/stepup-gateway/caddy-stepup/internal/ceremony/ceremonytest"
)

// words are what the list tells, the latest first.
func words(w *ceremonytest.World, t *testing.T, p ceremony.Principal) (all []ceremony.Activity, told []string) {
	t.Helper()
	all, err := w.Activity(t.Context(), p)
	if err != nil {
		t.Fatal(err)
	}
	for _, a := range all {
		told = append(told, a.Kind+" "+a.Outcome)
	}
	return all, told
}

// A thief who once passed and added an authenticator cannot have that forgotten,
// neither by wrong answers nor by passing again and again with what they added.
func TestS19ActivityIsNotPushedOutByMore(t *testing.T) {
	w := ceremonytest.New(t, lax)
	alice := w.Enroll("alice")
	w.Clock.Advance(time.Hour)
	thief := *alice
	thief.Principal = browser(alice.Principal, 1)
	added := add(w, t, &thief)
	pending, err := w.EnrollApp(t.Context(), w.Stranger("bob"), "", ceremony.Leave{})
	if err != nil {
		t.Fatal(err)
	}
	count := func(told []string, what string) (n int) {
		for _, one := range told {
			if one == what {
				n++
			}
		}
		return n
	}

	for range 120 { // beyond every budget: of a stranger's own enrollment
		w.Confirm(t.Context(), w.Stranger("bob"), pending.ID, w.WrongCode(pending.Key), "")
	}
	if all, _ := words(w, t, w.Stranger("bob")); len(all) != 20 {
		t.Error(len(all), "wrong answers are kept")
	}

	c := w.Begin(thief.Principal, view)
	for range 60 {
		w.Clock.Advance(2 * time.Hour)
		c = w.Begin(thief.Principal, view)
		w.Verify(t.Context(), thief.Principal, c.ID, ceremony.Answer{Method: grants.TOTP, Code: w.WrongCode(alice.Key)})
	}
	all, told := words(w, t, alice.Principal)
	if count(told, "verify passed") == 0 || count(told, "confirm done") != 2 {
		t.Error("after wrong answers:", told)
	}
	if page := ceremony.LatestActivity(all, 20); len(page) > 20 || !slices.ContainsFunc(page, func(a ceremony.Activity) bool { return a.Outcome == "passed" }) {
		t.Errorf("the page tells of %d, and not of the right answer", len(page))
	}

	for range 60 {
		w.Win(&ceremonytest.Person{Principal: thief.Principal, Key: added.Key}, view)
	}
	all, told = words(w, t, alice.Principal)
	if count(told, "confirm done") != 2 || count(told, "verify passed") != 40 {
		t.Error("after right answers:", told)
	}
	page := ceremony.LatestActivity(all, 20)
	if len(page) != 20 || !slices.ContainsFunc(page, func(a ceremony.Activity) bool { return a.Kind == "confirm" }) {
		t.Errorf("the page tells of %d, and not of what was added", len(page))
	}
	if !slices.IsSortedFunc(page, func(a, b ceremony.Activity) int { return b.Time.Compare(a.Time) }) {
		t.Error("the page is not in order")
	}
}
