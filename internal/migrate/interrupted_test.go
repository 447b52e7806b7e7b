package migrate_test

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/stepup-gateway/caddy-stepup/internal/migrate"
	"github.com/stepup-gateway/caddy-stepup/internal/records"
	"github.com/stepup-gateway/caddy-stepup/internal/seal"
	"github.com/stepup-gateway/caddy-stepup/store"
)

var errCut = errors.New("the process ended")

// budget is how many more changes take place in both databases. Whatever comes
// afterwards does not, as after a kill.
type budget struct{ left int }

// mortal is a store until the budget is used up.
type mortal struct {
	store.Movable
	*budget
	unknown bool // the last change takes place, and its caller does not hear of it
}

func (m mortal) Apply(ctx context.Context, ops ...store.Op) error {
	if m.left--; m.left < 0 {
		return errCut
	}
	err := m.Movable.Apply(ctx, ops...)
	if m.left == 0 && m.unknown {
		return errCut
	}
	return err
}

func (m mortal) Dump(ctx context.Context, after []byte, limit int) ([]store.Op, error) {
	if m.left <= 0 {
		return nil, errCut
	}
	return m.Movable.Dump(ctx, after, limit)
}

// atMostOne fails if both databases could be served, and returns whether either.
func atMostOne(t *testing.T, a, b store.Store, key seal.Key) (first, second bool) {
	t.Helper()
	for i, s := range []store.Store{a, b} {
		switch err := serves(t.Context(), s, key); {
		case err == nil && i == 0:
			first = true
		case err == nil:
			second = true
		case !errors.Is(err, records.ErrMoved) && !errors.Is(err, records.ErrNoData):
			t.Errorf("neither served nor refused for the move: %v", err)
		}
	}
	if first && second {
		t.Fatal("both databases are served")
	}
	return first, second
}

// A migration that ends after any of its changes leaves at most one database that is
// served, and goes on from there, also if it ends again and again; or it is given up,
// which may end after any change too.
func TestInterrupted(t *testing.T) {
	for _, unknown := range []bool{false, true} {
		t.Run(fmt.Sprint("unknown ", unknown), func(t *testing.T) {
			for n, complete := 0, false; !complete; n++ {
				a, b := openStore(t, t.TempDir()), openStore(t, t.TempDir())
				key := fill(t, a, 120, 700<<10, 700<<10)
				before := everything(t, a)
				whole := migrate.Options{From: at("a", a, key), To: at("b", b, key)}
				cut := func(n int, do func(migrate.Options) error) error {
					left := &budget{n}
					return do(migrate.Options{From: at("a", mortal{a, left, unknown}, key), To: at("b", mortal{b, left, unknown}, key)})
				}
				run := func(o migrate.Options) error {
					_, err := migrate.Run(t.Context(), o)
					return err
				}
				abandon := func(o migrate.Options) error { return migrate.Abandon(t.Context(), o) }

				complete = cut(n, run) == nil
				first, second := atMostOne(t, a, b, key)
				if complete && (first || !second) || second && n < 4 {
					t.Fatalf("after %d changes: the first is served: %v, the second: %v", n, first, second)
				}
				if n%2 == 1 && !second {
					// It is given up, which is interrupted too.
					for k := 0; ; k++ {
						err := cut(k, abandon)
						first, second = atMostOne(t, a, b, key)
						if second {
							t.Fatal("the copy is served though it was given up")
						}
						if err == nil || first {
							break
						}
						if k > 100 {
							t.Fatalf("after %d changes: never given up: %v", n, err)
						}
					}
					if !first {
						// Its copy was found complete: what is left is to end it.
						refused(t, migrate.Abandon(t.Context(), whole), nil, "found complete")
					} else if err := same(before, everything(t, a)); err != nil {
						t.Fatal("given up:", err)
					} else if left := everything(t, b); len(left) > 0 {
						t.Fatalf("given up: %d rows are left in the copy", len(left))
					}
				}
				// Again and again, with one change more each time.
				for k := 1; k < 8; k++ {
					if cut(k, run) == nil {
						break
					}
					atMostOne(t, a, b, key)
				}
				if err := run(whole); err != nil {
					t.Fatalf("after %d changes: %v", n, err)
				}
				if first, second := atMostOne(t, a, b, key); first || !second {
					t.Errorf("after %d changes: the first is served: %v, the second: %v", n, first, second)
				}
				if err := same(before, everything(t, b)); err != nil {
					t.Errorf("after %d changes: %v", n, err)
				}
				a.Close()
				b.Close()
			}
		})
	}
}

// A caller who goes away ends it, in a state to go on from.
func TestCancelled(t *testing.T) {
	a, b := openStore(t, t.TempDir()), openStore(t, t.TempDir())
	key := fill(t, a, 1200)
	for _, at3 := range []int64{0, 500, 1000} {
		ctx, cancel := context.WithCancel(t.Context())
		o := migrate.Options{From: at("a", a, key), To: at("b", b, key)}
		o.Tell = func(p migrate.Progress) {
			if p.Rows == at3 {
				cancel()
			}
		}
		_, err := migrate.Run(ctx, o)
		refused(t, err, context.Canceled, "neither database is served now", "--abandon")
		if first, second := atMostOne(t, a, b, key); first || second {
			t.Error("one of them is served")
		}
	}
	report, err := migrate.Run(t.Context(), migrate.Options{From: at("a", a, key), To: at("b", b, key)})
	if err != nil || report.Found == 0 || report.Written == 0 {
		t.Errorf("%+v, %v", report, err)
	}
}

// The old database is given back though the new one is out of reach; what is in that
// is never served, and is emptied later.
func TestAbandonOutOfReach(t *testing.T) {
	a, b := openStore(t, t.TempDir()), openStore(t, t.TempDir())
	key := fill(t, a, 10)
	left := &budget{3}
	whole := migrate.Options{From: at("a", a, key), To: at("b", b, key)}
	if _, err := migrate.Run(t.Context(), migrate.Options{From: at("a", mortal{a, left, false}, key), To: at("b", mortal{b, left, false}, key)}); err == nil {
		t.Fatal("it was not interrupted")
	}
	_, err := migrate.Run(t.Context(), migrate.Options{From: whole.From, To: at("c", openStore(t, t.TempDir()), key)})
	refused(t, err, records.ErrMoved, "being moved to b")
	refused(t, migrate.Abandon(t.Context(), migrate.Options{From: whole.From, To: at("c", filledStore(t, key), key)}), migrate.ErrNotEmpty, "leave out --to")
	if err := migrate.Abandon(t.Context(), migrate.Options{From: whole.From}); err != nil {
		t.Fatal(err)
	}
	if first, second := atMostOne(t, a, b, key); !first || second {
		t.Errorf("the first is served: %v, the second: %v", first, second)
	}
	_, err = migrate.Run(t.Context(), whole)
	refused(t, err, migrate.ErrNotEmpty, "incomplete copy of a", "--abandon")
	if err := migrate.Abandon(t.Context(), whole); err != nil {
		t.Fatal(err)
	}
	if _, err = migrate.Run(t.Context(), whole); err != nil {
		t.Fatal(err)
	}
}

func filledStore(t *testing.T, key seal.Key) store.Store {
	t.Helper()
	s := openStore(t, t.TempDir())
	if err := records.Create(t.Context(), s, key); err != nil {
		t.Fatal(err)
	}
	return s
}
