//go:build components

package cluster

import (
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stepup-gateway/caddy-stepup/tests/cluster/rig"
	"github.com/stepup-gateway/caddy-stepup/tests/gateway"
)

// people are those who use the system, and what they saw.
type people struct {
	*system
	t      *testing.T
	client *http.Client
	names  atomic.Int64

	grants, held, recovery, unproved, codes, revoked, resets *rig.History

	began   time.Time
	stop    context.CancelFunc
	running sync.WaitGroup

	mu      sync.Mutex
	old     []again
	samples [3][]time.Time // when each gateway answered what is protected
}

// again is what is tried again later, after other faults.
type again func(at int)

func newPeople(t *testing.T, s *system) *people {
	p := &people{system: s, t: t, began: time.Now(), client: &http.Client{
		Timeout:       8 * time.Second,
		Transport:     &http.Transport{DisableKeepAlives: true},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
	for _, h := range []**rig.History{&p.grants, &p.held, &p.recovery, &p.unproved, &p.codes, &p.revoked, &p.resets} {
		*h = rig.NewHistory()
	}
	return p
}

// begin lets them begin. Each does the same again and again, as another person.
func (p *people) begin() {
	ctx, stop := context.WithCancel(context.Background())
	p.stop = stop
	p.t.Cleanup(p.end)
	for _, scene := range []func(context.Context){p.spend, p.spend, p.useCode, p.useRecoveryCode, p.resume, p.revoke, p.revoke, p.comeBack} {
		p.running.Go(func() {
			for ctx.Err() == nil {
				scene(ctx)
				p.pause(ctx, 100*time.Millisecond)
			}
		})
	}
	p.unproved.Add(rig.Op{Verb: rig.Revoke, Of: "nobody", Outcome: rig.Done, Began: -2, Ended: -1})
	for i := range p.gates {
		p.running.Go(func() {
			for ctx.Err() == nil {
				p.unprovedAt(i)
				p.pause(ctx, 100*time.Millisecond)
			}
		})
	}
}

// end lets them end, and waits for them.
func (p *people) end() {
	p.stop()
	p.running.Wait()
}

func (p *people) pause(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d/2 + rand.N(d)):
	}
}

// unprovedAt asks a gateway as somebody who has proved nothing.
func (p *people) unprovedAt(i int) (status int) {
	grants := "__Host-step_up_grant=sug_" + strings.Repeat("A", 43)
	p.unproved.Do(rig.Op{Of: "nobody", At: gate(i)}, func() rig.Outcome {
		var outcome rig.Outcome
		status, outcome = p.ask(i, "nobody", grants, "GET", "/reports/1", "", nil)
		return outcome
	})
	if status == http.StatusUnauthorized {
		p.mu.Lock()
		defer p.mu.Unlock()
		p.samples[i] = append(p.samples[i], time.Now())
	}
	return status
}

func gate(i int) string { return fmt.Sprintf("gateway %d", i+1) }

// ask sends a request as somebody, with a browser's cookies of another time.
func (p *people) ask(i int, name, cookies, method, path, attempt string, header map[string]string) (int, rig.Outcome) {
	req, err := http.NewRequest(method, p.gates[i].URL+path, nil)
	if err != nil {
		p.t.Error(err)
		return 0, rig.Unknown
	}
	req.Host = "bank.test"
	req.Header.Set("Accept", "application/json")
	req.Header.Set("Cookie", cookies)
	req.Header.Set(gateway.Header, name)
	req.Header.Set(attemptHeader, attempt)
	for name, value := range header {
		req.Header.Set(name, value)
	}
	resp, err := p.client.Do(req)
	status := 0
	if err == nil {
		io.Copy(io.Discard, resp.Body)
		resp.Body.Close()
		status = resp.StatusCode
	}
	if attempt != "" && p.up.saw(attempt) {
		return status, rig.Done
	}
	return status, outcome(status)
}

// outcome is what a status says: the statuses of the server's faults say nothing.
func outcome(status int) rig.Outcome {
	switch {
	case status == 0 || status >= 500:
		return rig.Unknown
	case status == http.StatusOK:
		return rig.Done
	}
	return rig.Refused
}

// someone enrolls somebody new, at any gateway; an error is that of a fault between.
func (p *people) someone() (*gateway.Person, error) {
	x := p.gates[0].NewPerson(fmt.Sprintf("user%d", p.names.Add(1)))
	x.Host, x.Client.Timeout = "bank.test", p.client.Timeout
	x.Before = func(x *gateway.Person) { x.At(p.gates[rand.IntN(len(p.gates))]) }
	return x, x.TryEnroll(p.t, "")
}

// withGrant is somebody with a grant, and the cookies that show it.
func (p *people) withGrant(action string) (x *gateway.Person, cookies string) {
	x, err := p.someone()
	if err != nil || x.TryStepUp(p.t, action) != nil {
		return nil, ""
	}
	return x, p.cookies(x)
}

// cookies are those of the person's browser, which knows them by the host that it
// asks for.
func (p *people) cookies(x *gateway.Person) string {
	var all []string
	for _, c := range x.Client.Jar.Cookies(&url.URL{Scheme: "http", Host: x.Host, Path: "/"}) {
		all = append(all, c.Name+"="+c.Value)
	}
	return strings.Join(all, "; ")
}

// everywhere calls f for some callers at each gateway, at about the same time.
func (p *people) everywhere(callers int, f func(i int)) {
	var wg sync.WaitGroup
	for n := range callers * len(p.gates) {
		wg.Go(func() {
			time.Sleep(rand.N(3 * time.Millisecond))
			f(n % len(p.gates))
		})
	}
	wg.Wait()
}

// later remembers what is tried again.
func (p *people) later(a again) {
	const most = 200
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.old) < most {
		p.old = append(p.old, a)
	} else {
		p.old[rand.IntN(most)] = a
	}
}

// comeBack tries something of before at any gateway.
func (p *people) comeBack(context.Context) {
	p.mu.Lock()
	if len(p.old) == 0 {
		p.mu.Unlock()
		return
	}
	a := p.old[rand.IntN(len(p.old))]
	p.mu.Unlock()
	a(rand.IntN(len(p.gates)))
}

// serving waits until every gateway has answered after a time.
func (p *people) serving(after time.Time, d time.Duration) error {
	missing := ""
	for end := time.Now().Add(d); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		missing = ""
		p.mu.Lock()
		for i := range p.samples {
			if n := len(p.samples[i]); n == 0 || p.samples[i][n-1].Before(after) {
				missing = gate(i)
			}
		}
		p.mu.Unlock()
		if missing == "" {
			return nil
		}
	}
	return fmt.Errorf("%s does not serve again within %v", missing, d)
}

// gaps returns the longest time between two answers of one gateway, and of all of
// them together.
func (p *people) gaps(from, to time.Time) (one, whole time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	var all []time.Time
	for i := range p.samples {
		one = max(one, gap(p.samples[i], from, to))
		all = append(all, p.samples[i]...)
	}
	return one, gap(all, from, to)
}
