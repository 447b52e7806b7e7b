package ceremony_test

import (
	"strings"
	"testing"
	"time"

	"github.com/stepup-gateway/caddy-stepup/internal/ceremony"
	"github.com/stepup-gateway/caddy-stepup/internal/ceremony/ceremonytest"
)

// A pending enrollment is shown to who has the whole id that a server was given,
// and only while it is pending.
func TestBegunEnrolmentIsShownByItsWholeID(t *testing.T) {
	w := ceremonytest.New(t, lax)
	begin := func(p ceremony.Principal) ceremony.Enrollment {
		e, err := w.EnrollApp(t.Context(), p, "", ceremony.Leave{})
		if err != nil {
			t.Fatal(err)
		}
		return e
	}
	shown := func(name, id string, wanted error) {
		t.Helper()
		e, err := w.Begun(t.Context(), id)
		want(t, name, err, wanted)
		if (err == nil) != (e.URI != "") {
			t.Errorf("%s: %+v", name, e)
		}
	}
	alice := server(w.Stranger("alice"))
	one, other := begin(alice), begin(alice)
	shown("pending", one.ID, nil)
	shown("its UUID", ceremony.EnrollmentUUID(one.ID), ceremony.ErrNotFound)
	shown("half of it", one.ID[:22], ceremony.ErrNotFound)
	shown("another ending", one.ID[:24]+strings.Repeat("A", 8), ceremony.ErrNotFound)
	shown("nothing", "", ceremony.ErrNotFound)
	// One that a person began in a browser is that browser's alone.
	shown("a browser's", begin(w.Stranger("bob")).ID, ceremony.ErrNotFound)
	if _, err := w.ConfirmFor(t.Context(), alice, one.ID, w.Code(one.Key), nil, ceremony.CodesLater); err != nil {
		t.Fatal(err)
	}
	shown("confirmed", one.ID, ceremony.ErrNotFound)
	shown("void", other.ID, ceremony.ErrNotFound)
	late := begin(server(w.Stranger("carol")))
	w.Clock.Advance(time.Hour)
	shown("run out", late.ID, ceremony.ErrNotFound)
}

// The audit log names an enrollment by what shows nothing.
func TestS13WholeIDOfAnEnrolmentIsInNoEvent(t *testing.T) {
	w := ceremonytest.New(t, lax)
	e, err := w.EnrollApp(t.Context(), server(w.Stranger("alice")), "", ceremony.Leave{})
	if err != nil {
		t.Fatal(err)
	}
	events := w.Events()
	if got := events[len(events)-1]; got.Kind != "enrol" || got.Object != ceremony.EnrollmentUUID(e.ID) || strings.Contains(got.Object, e.ID) {
		t.Errorf("%+v", got)
	}
}

func TestResetNotesWhoDidIt(t *testing.T) {
	w := ceremonytest.New(t, lax)
	alice := w.Enroll("alice")
	if err := w.ResetBy(t.Context(), server(alice.Principal)); err != nil {
		t.Fatal(err)
	}
	events := w.Events()
	if e := events[len(events)-1]; e.Kind != "reset" || e.Actor != (ceremony.Actor{Kind: ceremony.ByKey, ID: "key_1"}) || e.Address != "198.51.100.1" || e.Subject != alice.Subject {
		t.Errorf("%+v", e)
	}
	if a, err := w.Account(t.Context(), alice.Principal); err != nil || a.Enrolled {
		t.Error(a, err)
	}
}
