package ceremony_test

import (
	"context"
	"errors"
	"os"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stepup-gateway/caddy-stepup/grants"
	"github.com/stepup-gateway/caddy-stepup/internal/ceremony"
	"github.com/stepup-gateway/caddy-stepup/internal/ceremony/ceremonytest"
	"github.com/stepup-gateway/caddy-stepup/store"
)

// counting counts the calls to a database.
type counting struct {
	store.Store
	calls atomic.Int64
}

func (c *counting) Get(ctx context.Context, key []byte) (store.Entry, error) {
	c.calls.Add(1)
	return c.Store.Get(ctx, key)
}

func (c *counting) List(ctx context.Context, prefix, after []byte, limit int) ([]store.Entry, error) {
	c.calls.Add(1)
	return c.Store.List(ctx, prefix, after, limit)
}

func (c *counting) Apply(ctx context.Context, ops ...store.Op) error {
	c.calls.Add(1)
	return c.Store.Apply(ctx, ops...)
}

// counted puts a count of its calls before the world's database, and returns what
// reads it and begins anew.
func counted(w *ceremonytest.World) (calls func() int64) {
	var c *counting
	w.Under(func(s store.Store) store.Store { c = &counting{Store: s}; return c })
	c.calls.Store(0)
	return func() int64 { return c.calls.Swap(0) }
}

func checked(t *testing.T, w *ceremonytest.World, p ceremony.Principal, won ceremony.Won) ceremony.Pass {
	t.Helper()
	pass, err := w.Check(t.Context(), &p, &withdraw, [32]byte{}, won.Token.Text())
	if err != nil {
		t.Fatal(err)
	}
	return pass
}

// A redemption is one read and one write: Check hands what it read to Spend. Each is
// a way to the process of the database and back.
func TestRedemptionAsksTheDatabaseTwice(t *testing.T) {
	w := ceremonytest.New(t)
	alice := w.Enroll("alice")
	once := w.Win(alice, withdraw)
	calls := counted(w)

	pass := checked(t, w, alice.Principal, once)
	if n := calls(); n != 1 {
		t.Errorf("Check made %d calls, not 1", n)
	}
	if _, err := w.Spend(t.Context(), &alice.Principal, &pass); err != nil {
		t.Fatal(err)
	}
	if n := calls(); n != 1 {
		t.Errorf("Spend made %d calls, not 1", n)
	}
	// A pass that no longer holds costs the write that fails, and one read that
	// tells why.
	_, err := w.Spend(t.Context(), &alice.Principal, &pass)
	want(t, "again", err, ceremony.ErrNoGrant)
	if n := calls(); n != 2 {
		t.Errorf("Spend of what was spent made %d calls, not 2", n)
	}
	want(t, "replayed", check(w, t, alice.Principal, withdraw, once.Token.Text()), ceremony.ErrNoGrant)
	if n := calls(); n != 1 {
		t.Errorf("Check of what was spent made %d calls, not 1", n)
	}

	lasting := w.Win(alice, view)
	want(t, "first", check(w, t, alice.Principal, view, lasting.Token.Text()), nil)
	calls()
	want(t, "from then on", check(w, t, alice.Principal, view, lasting.Token.Text()), nil)
	if n := calls(); n != 0 {
		t.Errorf("Check of a cached grant made %d calls", n)
	}
}

// What happens to a grant between Check and Spend counts: Spend is conditional on
// the very version that Check read.
func TestS03SpendSeesWhatHappenedSinceCheck(t *testing.T) {
	ctx := context.Background()
	for name, happens := range map[string]struct {
		what func(t *testing.T, w *ceremonytest.World, p *ceremony.Principal, pass ceremony.Pass)
		want error
	}{
		"nothing": {func(*testing.T, *ceremonytest.World, *ceremony.Principal, ceremony.Pass) {}, nil},
		"spent": {func(t *testing.T, w *ceremonytest.World, p *ceremony.Principal, pass ceremony.Pass) {
			_, err := w.Spend(ctx, p, &pass)
			want(t, "spending", err, nil)
		}, ceremony.ErrNoGrant},
		"spent and given back": {func(t *testing.T, w *ceremonytest.World, p *ceremony.Principal, pass ceremony.Pass) {
			receipt, err := w.Spend(ctx, p, &pass)
			want(t, "spending", err, nil)
			want(t, "giving back", w.GiveBack(ctx, p, receipt), nil)
		}, nil},
		"revoked": {func(t *testing.T, w *ceremonytest.World, p *ceremony.Principal, pass ceremony.Pass) {
			_, err := w.Revoke(ctx, p.Subject, "")
			want(t, "revoking", err, nil)
		}, ceremony.ErrNoGrant},
		"reset": {func(t *testing.T, w *ceremonytest.World, p *ceremony.Principal, pass ceremony.Pass) {
			want(t, "resetting", w.Reset(ctx, p.Subject), nil)
		}, ceremony.ErrNoGrant},
		"restarted": {func(t *testing.T, w *ceremonytest.World, p *ceremony.Principal, pass ceremony.Pass) {
			w.Reopen()
		}, nil},
		"a new generation": {func(t *testing.T, w *ceremonytest.World, p *ceremony.Principal, pass ceremony.Pass) {
			want(t, "losing the mark", os.Remove(w.Mark), nil)
			w.Reopen()
		}, ceremony.ErrNoGrant},
	} {
		t.Run(name, func(t *testing.T) {
			w := ceremonytest.New(t)
			alice := w.Enroll("alice")
			pass := checked(t, w, alice.Principal, w.Win(alice, withdraw))
			happens.what(t, w, &alice.Principal, pass)
			_, err := w.Spend(ctx, &alice.Principal, &pass)
			want(t, "spending", err, happens.want)
			_, err = w.Spend(ctx, &alice.Principal, &pass)
			want(t, "spending twice", err, ceremony.ErrNoGrant)
		})
	}
}

// Each of several grants is spent once, by 64 who hold the same passes and come at
// once, while they are revoked: once the revocation has returned nobody spends any.
func TestS03OnceWhileRevoked(t *testing.T) {
	w := ceremonytest.New(t)
	alice := w.Enroll("alice")
	const held, callers = 8, 64
	for round := range 12 {
		var passes []ceremony.Pass
		for range held {
			g, token := grants.Issue(withdraw, w.DB.Holder(alice.Subject), grants.Binding{Session: alice.Session}, grants.TOTP, w.Clock.Now())
			op, err := w.DB.PutGrant(token.ID(), g, withdraw.Action, "")
			if err == nil {
				err = w.DB.Apply(t.Context(), op)
			}
			if err != nil {
				t.Fatal(err)
			}
			passes = append(passes, checked(t, w, alice.Principal, ceremony.Won{Token: token}))
		}
		var revoked atomic.Bool
		var spent [held]atomic.Int64
		var all sync.WaitGroup
		for caller := range callers {
			all.Go(func() {
				if caller == callers/2 && round > 0 {
					if _, err := w.Revoke(t.Context(), alice.Subject, ""); err != nil {
						t.Error(err)
					}
					revoked.Store(true)
				}
				for i := range held {
					mine, late := (i+caller)%held, revoked.Load()
					_, err := w.Spend(t.Context(), &alice.Principal, &passes[mine])
					switch {
					case err == nil && late:
						t.Error("spent after the revocation")
					case err == nil:
						spent[mine].Add(1)
					case !errors.Is(err, ceremony.ErrNoGrant):
						t.Error(err)
					}
				}
			})
		}
		all.Wait()
		for i := range held {
			if n := spent[i].Load(); n > 1 || round == 0 && n != 1 {
				t.Errorf("spent %d times", n)
			}
		}
	}
}
