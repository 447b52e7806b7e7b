package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/stepup-gateway/caddy-stepup/grants"
	"github.com/stepup-gateway/caddy-stepup/internal/records"
	"github.com/stepup-gateway/caddy-stepup/internal/store/badgerstore"
	"github.com/stepup-gateway/caddy-stepup/store"
	"github.com/stepup-gateway/caddy-stepup/totp"
)

// started measures the memory of a gateway after it started on a database with so
// many accounts and live grants, against one that started on an empty one.
func (b *bench) started(up string, n int) error {
	var held [2]int64
	for i, n := range []int{0, n} {
		dir, err := os.MkdirTemp(b.dir, "start-")
		if err != nil {
			return err
		}
		if err := populate(dir, n); err != nil {
			return err
		}
		began, port := time.Now(), freePort()
		cmd, err := b.run("gateway", gateFile, dir, port, up)
		if err != nil {
			return err
		}
		listening := time.Since(began)
		cookie, err := stepUp(port, "first", "VIEW")
		for err != nil && time.Since(began) < 5*time.Minute { // the database is still being read
			time.Sleep(100 * time.Millisecond)
			cookie, err = stepUp(port, "first", "VIEW")
		}
		if err != nil {
			return err
		}
		if _, err := hammer(port, always(viewing(port, "first", cookie)), time.Now().Add(time.Millisecond)); err != nil {
			return err
		}
		passed := time.Since(began)
		time.Sleep(40 * time.Second)
		if held[i], err = resident(cmd.Process.Pid); err != nil {
			return err
		}
		fmt.Printf("start             %d accounts and grants: listens after %s, somebody had enrolled and passed after %s, %.1f MB resident\n",
			n, listening.Round(time.Millisecond), passed.Round(time.Millisecond), mb(held[i]))
	}
	fmt.Printf("                  difference %.1f MiB\n", float64(held[1]-held[0])/(1<<20))
	return nil
}

// populate makes a database with so many accounts, each with an app, recovery codes
// and a live grant.
func populate(dir string, n int) (err error) {
	ctx := context.Background()
	s, err := badgerstore.Open(badgerstore.Options{Dir: filepath.Join(dir, "data")})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	db, _, err := records.OpenWithKeyFile(ctx, s, filepath.Join(dir, "key"))
	if err != nil {
		return err
	}
	demand := grants.Demand{Action: grants.MustAction("VIEW"), Use: grants.TimeBased, TTL: time.Hour}
	var ops []store.Op
	for i := range n {
		account := someAccount(fmt.Sprint("user-", i))
		holder := db.Holder(grants.Subject{Tenant: account.Tenant, User: account.User})
		put, err := db.Accounts.Put(holder, nil, account, 0, time.Time{})
		if err != nil {
			return err
		}
		g, token := grants.Issue(demand, holder, grants.Binding{}, grants.TOTP, time.Now())
		grant, err := db.PutGrant(token.ID(), g, demand.Action, "")
		if err != nil {
			return err
		}
		if ops = append(ops, put, grant); len(ops) == store.MaxOps/2 || i == n-1 {
			if err := db.Apply(ctx, ops...); err != nil {
				return err
			}
			ops = ops[:0]
		}
	}
	return nil
}

func someAccount(user string) records.Account {
	random := func(n int) []byte {
		b := make([]byte, n)
		rand.Read(b)
		return b
	}
	now := time.Now()
	a := records.Account{Tenant: "t", User: user, State: records.StateEnrolled, Set: 1, CreatedAt: now, CodesGivenAt: now}
	a.Authenticators = []records.Authenticator{{
		ID: fmt.Sprintf("%x", random(16)), Type: grants.TOTP.String(), Label: "Authenticator app", CreatedAt: now, LastUsedAt: now,
		TOTP: &records.TOTP{Secret: random(20), Algorithm: totp.SHA1, Digits: 6},
	}}
	for range 10 {
		a.RecoveryCodes = append(a.RecoveryCodes, records.RecoveryCode{Hash: random(32)})
	}
	return a
}
