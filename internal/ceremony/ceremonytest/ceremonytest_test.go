package ceremonytest

import (
	"testing"
	"time"

	"github.com/stepup-gateway/caddy-stepup/grants"
)

func TestWorld(t *testing.T) {
	w := New(t)
	alice := w.Enroll("alice")
	d := Demand("WITHDRAW_FUNDS", grants.TimeBased, 10*time.Minute)
	won := w.Win(alice, d)
	w.Reopen()
	if _, err := w.Check(t.Context(), &alice.Principal, &d, [32]byte{}, won.Token.Text()); err != nil {
		t.Fatal(err)
	}
	if len(alice.RecoveryCodes) != 10 || len(w.Events()) != 4 {
		t.Fatal(len(alice.RecoveryCodes), w.Events())
	}
}
