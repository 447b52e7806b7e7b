package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync/atomic"
	"time"

	"github.com/stepup-gateway/caddy-stepup/grants"
	"github.com/stepup-gateway/caddy-stepup/internal/cookies"
	"github.com/stepup-gateway/caddy-stepup/internal/records"
	"github.com/stepup-gateway/caddy-stepup/internal/store/badgerstore"
	"github.com/stepup-gateway/caddy-stepup/store"
)

// oneTimers is how many people hold the grants that are redeemed.
const oneTimers = 500

// redeeming sends requests that each redeem a one-time grant of their own through
// the gateway, and others through plain Caddy, in turn.
func (b *bench) redeeming(up string) error {
	dir, err := os.MkdirTemp(b.dir, "onetime-")
	if err != nil {
		return err
	}
	length := min(*seconds, time.Second)
	most := 2 * (*rounds + 1) * int(5000*length.Seconds())
	requests, err := stockOneTime(dir, most)
	if err != nil {
		return err
	}
	gate, plain := freePort(), freePort()
	g, err := b.run("gateway", gateFile, dir, gate, up)
	if err != nil {
		return err
	}
	p, err := b.start("plain", plainOptions+plainSite, plain, up)
	if err != nil {
		return err
	}
	if err := untilOpen(gate); err != nil {
		return err
	}
	var next atomic.Int64
	draw := func() string {
		if i := int(next.Add(1)) - 1; i < len(requests) {
			return requests[i]
		}
		return ""
	}
	for _, pinned := range []string{"", ", one processor for the servers"} {
		if pinned != "" {
			defer pin(g.Process.Pid, p.Process.Pid)()
		}
		var rates, costs, gates, plains []float64
		for i := range *rounds + 1 {
			through, err := loadEach(target{gate, g.Process.Pid}, length, draw)
			if err != nil {
				return err
			}
			past, err := loadEach(target{plain, p.Process.Pid}, length, always(requests[0]))
			if err != nil {
				return err
			}
			if i == 0 {
				continue // warm-up
			}
			gates, plains = append(gates, through.rate), append(plains, past.rate)
			rates, costs = append(rates, through.rate/past.rate), append(costs, through.busy/past.busy)
		}
		fmt.Printf("each redeems      %.0f requests/s, plain Caddy %.0f, ratio %s; processor's time for each %s of plain; %d connections, %d rounds of %s%s\n",
			median(gates), median(plains), quartiles(rates), quartiles(costs), *connections, *rounds, length, pinned)
	}
	return nil
}

// stockOneTime makes a database with n one-time grants, and returns the requests
// that redeem them.
func stockOneTime(dir string, n int) (requests []string, err error) {
	ctx := context.Background()
	s, err := badgerstore.Open(badgerstore.Options{Dir: filepath.Join(dir, "data")})
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	db, _, err := records.OpenWithKeyFile(ctx, s, filepath.Join(dir, "key"))
	if err != nil {
		return nil, err
	}
	demand := grants.Demand{Action: grants.MustAction("WIRE"), Use: grants.OneTimeUse, TTL: 10 * time.Minute}
	name := cookies.Grant("t", demand.Action.String()).On(false)
	var ops []store.Op
	for i := range n {
		user := fmt.Sprint("user-", i%oneTimers)
		holder := db.Holder(grants.Subject{Tenant: "t", User: user})
		g, token := grants.Issue(demand, holder, grants.Binding{}, grants.TOTP, time.Now())
		op, err := db.PutGrant(token.ID(), g, demand.Action, "")
		if err != nil {
			return nil, err
		}
		requests = append(requests, asking("/wire/transfer", "80", user, name+"="+token.Text()))
		if ops = append(ops, op); len(ops) == store.MaxOps || i == n-1 {
			if err := db.Apply(ctx, ops...); err != nil {
				return nil, err
			}
			ops = ops[:0]
		}
	}
	return requests, nil
}

// untilOpen waits until the database is in use.
func untilOpen(port string) (err error) {
	for range 600 {
		if _, err = enroll(port, "first"); err == nil {
			return nil
		}
		time.Sleep(100 * time.Millisecond)
	}
	return err
}
